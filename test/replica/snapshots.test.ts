import assert from "node:assert/strict";
import { NODE_EXIT } from "../../src/node/exit-codes.js";
import { encodeLogRecord } from "../../src/replica/log-record.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { conf, memberRecord, storeKey, TestCluster, versionOf } from "./cluster.js";
import { keyMachine } from "./key-machine.js";

const SEED = Number(process.env["SEED"] ?? 1);
const TINY = { compactEntries: 20, compactKeepEntries: 5, snapshotChunkBytes: 300, stateWriteIntervalMs: 0 };

async function write(cluster: TestCluster, count: number): Promise<void> {
  const leader = await cluster.ready();
  for (let i = 0; i < count; i++)
    assert.equal((await cluster.world.settled(leader.propose(storeKey(`k${i % 10}`)))).error, undefined);
}

describe("replica, snapshots and compaction", () => {
  it("cuts its log behind the state on disk and restarts from what is left", async () => {
    const cluster = await TestCluster.of(3, SEED, TINY);
    await write(cluster, 100);
    await cluster.converged();
    for (const replica of cluster.running) {
      const status = replica.status();
      assert.ok(status.snapshotIndex > 50, `only cut to ${status.snapshotIndex}`);
      assert.ok(status.raft.lastIndex - status.snapshotIndex <= 35);
    }
    for (const id of [1, 2, 3]) cluster.crash(id);
    for (const id of [1, 2, 3]) await cluster.start(id);
    await cluster.ready();
    await cluster.converged();
    for (const replica of cluster.running)
      for (let i = 0; i < 10; i++) assert.equal(versionOf(replica, `k${i}`), 10);
  });

  it("brings back a follower that missed more than the log holds, and tells it to load anew", async () => {
    const cluster = await TestCluster.of(3, SEED, TINY);
    const follower = cluster.follower().raftId;
    let resyncs = 0;
    for (const id of [1, 2, 3]) if (id !== follower) cluster.network.cut(follower, id);
    cluster.replica(follower).onResync(() => resyncs++);
    await write(cluster, 100);
    const snapshots = cluster.network.snapshots;
    cluster.network.heal();
    await cluster.converged();
    assert.ok(cluster.network.snapshots > snapshots, "it came by a snapshot");
    assert.equal(resyncs, 1);
    for (let i = 0; i < 10; i++) assert.equal(versionOf(cluster.replica(follower), `k${i}`), 10);
    await write(cluster, 10);
    await cluster.converged();
    assert.equal(versionOf(cluster.replica(follower), "k0"), 11);
    cluster.crash(follower);
    await cluster.start(follower);
    await cluster.converged();
    assert.equal(versionOf(cluster.replica(follower), "k0"), 11);
  });

  it("stops a leader that meets a damaged record of its own while it sends a snapshot; another one sends it", async () => {
    const cluster = await TestCluster.of(3, SEED, TINY);
    const leader = (await cluster.ready()).raftId;
    const [follower] = [1, 2, 3].filter((id) => id !== leader) as [number, number];
    for (const id of [1, 2, 3]) if (id !== follower) cluster.network.cut(follower, id);
    await write(cluster, 100);
    cluster.member(leader).kv.rotState();
    cluster.network.heal();
    await cluster.world.until("it stops", () => cluster.member(leader).fatal !== null);
    assert.match(cluster.member(leader).fatal ?? "", /is damaged at key .+: its checksum does not match/);
    assert.equal(cluster.member(leader).exitCode, NODE_EXIT.dataDamaged, "a start again would be of no use");
    const next = await cluster.ready();
    assert.notEqual(next.raftId, leader);
    await cluster.world.until("caught up", () => versionOf(cluster.replica(follower), "k0") === 10);
  });

  it("stops a member for which a snapshot is too new, with what to do", async () => {
    let tooNew = false;
    const machine = () => {
      const made = keyMachine();
      const load = made.load.bind(made);
      made.load = (records) => {
        if (tooNew)
          throw new HoldfastError(ErrorCode.UNSUPPORTED_VERSION, "the state on disk has format version 2", {
            next: "start a newer version",
          });
        load(records);
      };
      return made;
    };
    const cluster = await TestCluster.of(3, SEED, TINY, machine);
    const follower = cluster.follower().raftId;
    for (const id of [1, 2, 3]) if (id !== follower) cluster.network.cut(follower, id);
    await write(cluster, 100);
    tooNew = true;
    cluster.network.heal();
    const member = cluster.member(follower);
    await cluster.world.until("it stops", () => member.fatal !== null);
    assert.match(
      member.fatal ?? "",
      /^n\d is older than its cluster: the state on disk has format version 2$/,
    );
    assert.deepEqual([member.exitCode, member.next], [NODE_EXIT.dataDamaged, "start a newer version"]);
  });

  // Field 200 of Command, and a batch with one such: what a later version might put into the log.
  for (const [kind, command] of [
    [200, [0xc2, 0x0c, 0x00]],
    [100, [0xa2, 0x06, 0x05, 0x0a, 0x03, 0xc2, 0x0c, 0x00]],
  ] as const)
    it(`stops a member that meets a command of a later version in the log (field ${kind}), and applies nothing behind it`, async () => {
      const cluster = await TestCluster.of(3, SEED, TINY);
      const leader = await cluster.ready();
      const before = leader.appliedIndex;
      leader.raft.propose([encodeLogRecord(1, 1, 1, 1, Uint8Array.from(command))]);
      void leader.propose(storeKey("after"));
      const told = cluster.member(leader.raftId);
      await cluster.world.until("it stops", () => told.fatal !== null);
      assert.match(
        told.fatal ?? "",
        new RegExp(`is older than its cluster: log entry \\d+ holds a command of .+ \\(${kind}\\)$`),
      );
      assert.match(told.next, /^start a version of holdfast at least as new/);
      await cluster.world.pass(5000);
      for (const { replica } of cluster.members.values())
        assert.ok((replica?.appliedIndex ?? 0) <= before, "nothing behind it is applied");
    });

  it("goes on when a transfer breaks off in the middle", async () => {
    const cluster = await TestCluster.of(3, SEED, TINY);
    const follower = cluster.follower().raftId;
    const others = [1, 2, 3].filter((id) => id !== follower);
    for (const id of others) cluster.network.cut(follower, id);
    await write(cluster, 100);
    for (let i = 0; i < 3; i++) {
      const before = cluster.network.snapshots;
      cluster.network.heal();
      await cluster.world.until("a snapshot is under way", () => cluster.network.snapshots > before);
      for (const id of others) cluster.network.cut(follower, id);
      await cluster.world.pass(50);
    }
    cluster.network.heal();
    await cluster.converged();
    for (let i = 0; i < 10; i++) assert.equal(versionOf(cluster.replica(follower), `k${i}`), 10);
  });

  it("adds an empty member by snapshot, promotes it when it has caught up, and removes one", async () => {
    const cluster = await TestCluster.of(3, SEED, TINY);
    await write(cluster, 50);
    await cluster.add(4, conf());
    const leader = await cluster.ready();
    const change = (action: "add-learner" | "promote" | "remove", id: number) =>
      cluster.world.settled(leader.changeMembers({ action, member: memberRecord(id) }));
    assert.match((await change("promote", 4))?.message ?? "", /n4 is no member/);
    assert.equal(await change("add-learner", 4), null);
    assert.match((await change("promote", 4))?.message ?? "", /lacks|does not answer/);
    const follows = () => leader.status().raft.progress.some((p) => p.id === 4 && p.state === "replicate");
    await cluster.world.until(
      "the learner has caught up",
      () => follows() && versionOf(cluster.replica(4), "k9") === 5,
    );
    assert.equal(await change("promote", 4), null);
    assert.deepEqual(leader.status().raft.config.voters, [1, 2, 3, 4]);
    const victim = cluster.follower().raftId === 4 ? (leader.raftId % 3) + 1 : cluster.follower().raftId;
    assert.equal(await change("remove", victim), null);
    assert.ok(!leader.status().raft.config.voters.includes(victim));
    assert.equal(
      [...leader.state.members()].some((m) => m.raftId === victim),
      false,
    );
    await write(cluster, 10);
    await cluster.world.until("member 4 has it all", () => versionOf(cluster.replica(4), "k9") === 6);
  });

  it("refuses to remove a voter that the quorum needs, and changes on a stale configuration", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    const gone = cluster.follower().raftId;
    cluster.crash(gone);
    await cluster.world.pass(1_500);
    const other = [1, 2, 3].find((id) => id !== gone && id !== leader.raftId) as number;
    const refused = await cluster.world.settled(
      leader.changeMembers({ action: "remove", member: memberRecord(other) }),
    );
    assert.match(refused?.message ?? "", /quorum would be lost/);
    const stale = await cluster.world.settled(
      leader.changeMembers({ action: "remove", member: memberRecord(gone), ifConfIndex: 999 }),
    );
    assert.match(stale?.message ?? "", /not 999/);
    assert.equal(
      await cluster.world.settled(leader.changeMembers({ action: "remove", member: memberRecord(gone) })),
      null,
    );
  });
});
