import assert from "node:assert/strict";
import { MessageKind } from "../../src/raft/index.js";
import type { v1 } from "../../src/wire/index.js";
import { storeKey, TestCluster } from "./cluster.js";

function holds(frame: v1.IPeerFrame, kind: MessageKind): boolean {
  return (frame.raft?.messages ?? []).some((message) => (message.kind ?? 0) === kind);
}

/**
 * The other half of lesson L40: a position is never used again at the leader, and the number of a read that a follower
 * passes on to it never by a later process of that follower.
 */
describe("lesson L40: the answer to a read of an earlier process", () => {
  it("is not taken for that to a read of the process that follows it", async () => {
    const cluster = await TestCluster.of(3, 11);
    const { network, world } = cluster;
    const leader = await cluster.ready();
    await cluster.converged();
    const asking = cluster.follower().raftId;
    // Nobody confirms the leadership, and the one who asks hears of no entry; everything else goes on.
    let asked = 0;
    network.copies = (from, to, frame) => {
      if (from === asking && holds(frame, MessageKind.ReadIndex)) asked++;
      if (to === leader.raftId && holds(frame, MessageKind.HeartbeatResponse)) return 0;
      return to === asking && holds(frame, MessageKind.Append) ? 0 : 1;
    };
    cluster
      .replica(asking)
      .readBarrier()
      .catch(() => undefined);
    await world.until("the leader was asked for the first read", () => asked === 1);
    await world.pass(1);
    cluster.crash(asking);
    const written = await world.settled(leader.propose(storeKey("written before the second read")));
    const restarted = await cluster.start(asking);
    await world.until("the new process has heard of the leader", () => restarted.leader().leaderId !== 0);
    const second = restarted.readBarrier();
    await world.until("the leader was asked for the second read", () => asked === 2);
    await world.pass(1);
    network.copies = () => 1;
    assert.ok(cluster.replica(leader.raftId).leader().isLeader, "all this within one leadership");
    const index = await world.settled(second);
    assert.ok(
      index >= (written.revision as number),
      `the read shows ${index}, and ${String(written.revision)} was acknowledged before it began`,
    );
  });
});
