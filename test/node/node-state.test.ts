import assert from "node:assert/strict";
import { nodeState, type StateSources } from "../../src/node/node-state.js";
import { problemsOf } from "../../src/replica/problems.js";

const NOBODY = { isLeader: false, term: 3, leaderId: 0, ready: false };
const CONFIG = { voters: [1, 2, 3], learners: [], learnersNext: [] };

/** A node of a cluster that has lost its leader; what is asked of its sources and no more. */
function leaderless(more: Partial<StateSources>): StateSources {
  const replica = {
    status: () => ({
      raft: { id: 1, role: "follower", term: 3, commit: 9, applied: 9, lastIndex: 9, config: CONFIG },
      fsyncP99Ms: 1,
      lastElectionCause: "",
      snapshotIndex: 0,
      errors: problemsOf(null, NOBODY, false, 0, 1_000),
    }),
    leader: () => NOBODY,
    state: { members: () => [], sessionCountOf: () => 0 },
    clusterTimeMs: () => 0,
  };
  return {
    config: {
      name: "n1",
      cluster: { id: "c" },
      options: { loopDelayDegradedMs: 100 },
      advertise: { grpc: "", http: "" },
      roles: [],
    },
    replica,
    loopDelay: { percentileMs: () => 1 },
    formatVersion: 1,
    incarnation: () => 1,
    leaseLeftMs: () => undefined,
    withheld: () => "",
    stopping: () => false,
    ...more,
  } as unknown as StateSources;
}

describe("what a node says of itself", () => {
  it("names each problem once", () => {
    assert.deepEqual(nodeState(leaderless({})).errors, ["no leader is known"]);
  });

  it("is not ready without a leader, and degraded where its lease is not held as well", () => {
    const state = nodeState(leaderless({ leaseLeftMs: () => -5 }));
    assert.equal(state.health, "not-ready");
    assert.deepEqual(state.errors, [
      "no leader is known",
      "the node lease is not held: files are not served",
    ]);
  });
});
