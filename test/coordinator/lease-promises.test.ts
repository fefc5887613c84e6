import assert from "node:assert/strict";
import { coordinatorDefaults } from "../../src/coordinator/config.js";
import { FailureDetector, isMajority } from "../../src/coordinator/failure-detector.js";
import { LeasePromises } from "../../src/coordinator/lease-promises.js";
import { nullLog } from "../../src/runtime/index.js";
import type { StateView } from "../../src/state/index.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { conf } from "../replica/cluster.js";
import { World } from "../replica/world.js";

const config = { ...coordinatorDefaults, raftId: 1, name: "n1", clusterId: "test" };

/** A state that holds nodes and nothing else. */
function nodes(...records: v1.INodeRecord[]) {
  const byName = new Map(records.map((r) => [r.name ?? "", r]));
  const members = new Map(records.filter((r) => !r.foreign).map(({ name }) => [name, { name: name ?? "" }]));
  const view = {
    node: (name: string) => byName.get(name),
    nodes: () => byName.values(),
    members: () => members.values(),
  } as unknown as StateView;
  return { byName, members, view };
}

const up = (name: string, incarnation = 1): v1.INodeRecord => ({
  name,
  incarnation,
  status: v1.NodeStatus.NODE_UP,
});
const beat = (node: string, incarnation = 1, leaseMs = 1000) => ({ node, incarnation, sequence: 1, leaseMs });

describe("lease promises", () => {
  it("are kept for one lease from the receipt of a heartbeat and then withdrawn for ever", async () => {
    const world = new World();
    const { view } = nodes(up("a"));
    const promises = new LeasePromises(config, world.clock, () => view);
    assert.equal(promises.heartbeat(beat("a"), 3).granted, true);
    await world.pass(999);
    assert.deepEqual(promises.revoked(), []);
    assert.equal(promises.heartbeat(beat("a"), 3).granted, true);
    await world.pass(1000);
    assert.deepEqual(promises.revoked(), [], "exactly one lease is still inside the promise");
    await world.pass(1);
    assert.deepEqual(
      promises.revoked().map((r) => [r.node, r.incarnation, r.silentMs, r.fresh]),
      [["a", 1, 1001, true]],
    );
    assert.deepEqual(
      promises.revoked().map((r) => r.fresh),
      [false],
      "told again until it is down, but it is no news",
    );
    const late = promises.heartbeat(beat("a"), 3);
    assert.equal(late.granted, false);
    assert.equal(late.error?.code, ErrorCode.LEASE_LOST);
  });

  it("are not renewed for a node whose member was removed, and end in their own time; a foreign server needs none", async () => {
    const world = new World();
    const { view, members } = nodes(up("a"), up("b"), { ...up("foreign"), foreign: true });
    const promises = new LeasePromises(config, world.clock, () => view);
    for (const name of ["a", "b", "foreign"]) assert.equal(promises.heartbeat(beat(name), 3).granted, true);
    members.delete("a");
    await world.pass(500);
    const refused = promises.heartbeat(beat("a"), 3);
    assert.equal(refused.error?.code, ErrorCode.UNKNOWN_MEMBER);
    for (const name of ["b", "foreign"]) assert.equal(promises.heartbeat(beat(name), 3).granted, true);
    await world.pass(500);
    assert.deepEqual(promises.revoked(), [], "what was promised holds");
    await world.pass(1);
    assert.deepEqual(
      promises.revoked().map((r) => r.node),
      ["a"],
    );
  });

  it("say how long a node that falls silent is waited for: the rest, and the margin", async () => {
    const world = new World();
    const { view } = nodes(up("a"));
    const promises = new LeasePromises(config, world.clock, () => view);
    assert.equal(promises.leftMs("a"), 1_100, "never heard of: a whole lease");
    promises.heartbeat(beat("a"), 3);
    await world.pass(300);
    assert.equal(promises.leftMs("a"), 800);
    await world.pass(5_000);
    assert.equal(promises.leftMs("a"), 100);
  });

  it("grant again between the lapse and the look that revokes: only a revocation is final", async () => {
    const world = new World();
    const { view } = nodes(up("a"));
    const promises = new LeasePromises(config, world.clock, () => view);
    promises.heartbeat(beat("a"), 3);
    await world.pass(1_500);
    assert.equal(promises.heartbeat(beat("a"), 3).granted, true);
    assert.deepEqual(promises.revoked(), []);
  });

  it("of a restarted coordinator revoke nothing for one lease", async () => {
    const world = new World();
    const { view } = nodes(up("a"));
    await world.pass(60_000);
    const promises = new LeasePromises(config, world.clock, () => view);
    assert.deepEqual(promises.revoked(), []);
    await world.pass(1_000);
    assert.deepEqual(promises.revoked(), []);
    await world.pass(1);
    assert.equal(promises.revoked().length, 1);
  });

  it("are refused to unknown, older, later and fallen incarnations, each with its reason", () => {
    const world = new World();
    const { byName, view } = nodes(up("a", 5));
    const promises = new LeasePromises(config, world.clock, () => view);
    const code = (request: v1.IHeartbeatRequest) => promises.heartbeat(request, 3).error?.code;
    assert.equal(code(beat("b")), ErrorCode.UNKNOWN_NODE);
    assert.equal(code(beat("a", 4)), ErrorCode.LEASE_LOST);
    assert.equal(code(beat("a", 6)), ErrorCode.UNKNOWN_NODE);
    assert.equal(code(beat("a", 5)), undefined);
    assert.equal(code(beat("a", 5, 1001)), ErrorCode.INVALID_ARGUMENT);
    byName.set("a", { ...up("a", 5), status: v1.NodeStatus.NODE_DOWN });
    assert.equal(code(beat("a", 5)), ErrorCode.LEASE_LOST);
    byName.set("a", up("a", 6));
    assert.equal(code(beat("a", 6)), undefined);
  });

  it("begin afresh for a new incarnation of a revoked node", async () => {
    const world = new World();
    const { byName, view } = nodes(up("a"));
    const promises = new LeasePromises(config, world.clock, () => view);
    promises.heartbeat(beat("a"), 3);
    await world.pass(1_001);
    assert.equal(promises.revoked().length, 1);
    byName.set("a", up("a", 2));
    assert.deepEqual(promises.revoked(), []);
    assert.equal(promises.heartbeat(beat("a", 2), 3).granted, true);
  });
});

describe("failure detector", () => {
  function detector(
    world: World,
    view: StateView,
    voters = conf(1, 2, 3),
    ready = () => true,
    fence?: (node: string, incarnation: number) => Promise<string>,
  ) {
    const proposed: v1.INodeDown[] = [];
    let answer: v1.ICommandResult = {};
    const made = new FailureDetector({
      config,
      clock: world.clock,
      log: nullLog,
      state: () => view,
      conf: () => voters,
      ready,
      propose: (command) => {
        if (command.nodeDown) proposed.push(command.nodeDown);
        return Promise.resolve(answer);
      },
      ...(fence === undefined ? {} : { fence }),
    });
    return { made, proposed, answer: (next: v1.ICommandResult) => (answer = next) };
  }

  it("needs a majority of each half of the configuration", () => {
    const joint = { ...conf(1, 2, 3), votersOutgoing: [3, 4, 5] };
    const table: [number[], boolean][] = [
      [[1, 2], false],
      [[1, 2, 3], false],
      [[1, 2, 3, 4], true],
      [[1, 3, 4], true],
      [[3, 4, 5], false],
    ];
    for (const [who, expected] of table) assert.equal(isMajority(new Set(who), joint), expected, String(who));
    assert.equal(isMajority(new Set([1]), conf(1, 2)), false);
    assert.equal(isMajority(new Set([1, 2]), conf(1, 2, 3, 4)), false, "half is no majority");
    assert.equal(isMajority(new Set([7, 8, 9]), conf(1, 2, 3)), false, "strangers do not count");
  });

  it("declares a node down once, by a majority, with the time since its last sign of life", async () => {
    const world = new World();
    const { view } = nodes(up("a"), up("b"));
    const { made, proposed } = detector(world, view);
    await world.pass(5_000);
    made.revoked(1, { node: "a", incarnation: 1, silentMs: 1010 });
    made.revoked(1, { node: "a", incarnation: 1, silentMs: 1010 });
    assert.equal(proposed.length, 0, "one coordinator is not two");
    made.revoked(2, { node: "a", incarnation: 1, silentMs: 1005 });
    await world.pass(1);
    assert.equal(proposed.length, 1);
    assert.equal(proposed[0]?.node, "a");
    assert.equal(proposed[0]?.sessionsMax, limits.takeoverSessionsWanted, "one short entry at a time");
    assert.deepEqual(phasesOf(proposed[0]), [905, 0, 100], "the lease's margin is part of the fence");
    made.revoked(3, { node: "a", incarnation: 1, silentMs: 1005 });
  });

  it("ignores revocations of incarnations that are not up", async () => {
    const world = new World();
    const { view } = nodes(up("a", 2));
    const { made, proposed } = detector(world, view);
    for (const from of [1, 2, 3]) made.revoked(from, { node: "a", incarnation: 1, silentMs: 9999 });
    await world.pass(1);
    assert.equal(proposed.length, 0);
  });

  const phasesOf = (down: v1.INodeDown | undefined) =>
    [down?.detectUs, down?.electUs, down?.fenceUs].map((us) => (us ?? 0) / 1_000);

  it("counts the time without a leader as election, and only the rest of the lease as detection", async () => {
    const world = new World();
    const { view } = nodes(up("a"));
    let ready = false;
    const { made, proposed } = detector(world, view, conf(1, 2, 3), () => ready);
    await world.pass(800);
    made.leaderIs(0);
    await world.pass(250);
    for (const from of [1, 2]) made.revoked(from, { node: "a", incarnation: 1, silentMs: 1050 });
    await world.pass(200);
    assert.equal(proposed.length, 0);
    ready = true;
    made.becameReady();
    await world.pass(1);
    assert.equal(proposed.length, 1);
    assert.deepEqual(phasesOf(proposed[0]), [700, 450, 100]);
  });

  it("tries again when the proposal failed", async () => {
    const world = new World();
    const { view } = nodes(up("a"));
    const { made, proposed, answer } = detector(world, view);
    answer({ error: { code: ErrorCode.NO_QUORUM, message: "no" } });
    for (const from of [1, 2]) made.revoked(from, { node: "a", incarnation: 1, silentMs: 1050 });
    await world.pass(1);
    made.tick();
    assert.equal(proposed.length, 1, "not before the retry interval");
    answer({});
    await world.pass(config.nodeDownRetryMs);
    made.tick();
    assert.equal(proposed.length, 2);
  });

  it("takes nothing over before the fence has confirmed the death, and says so in the record", async () => {
    const world = new World();
    const { view } = nodes(up("a"));
    const asked: string[] = [];
    let works = false;
    const fence = async (node: string, incarnation: number): Promise<string> => {
      asked.push(`${node}/${incarnation}`);
      await new Promise<void>((resume) => void world.scheduler.after(40, resume));
      if (!works) throw new Error("power switch does not answer");
      return "power off";
    };
    const { made, proposed } = detector(world, view, conf(1, 2, 3), () => true, fence);
    for (const from of [1, 2]) made.revoked(from, { node: "a", incarnation: 1, silentMs: 1050 });
    await world.pass(100);
    assert.equal(proposed.length, 0, "an unconfirmed death is none");
    works = true;
    await world.pass(config.nodeDownRetryMs);
    made.tick();
    await world.pass(100);
    assert.deepEqual(asked, ["a/1", "a/1"]);
    assert.equal(proposed.length, 1);
    assert.equal(proposed[0]?.fenceConfirmed, "power off");
    assert.deepEqual(phasesOf(proposed[0])[2], 140);
  });

  it("does not ask the fence again about what it has confirmed: it would hit whoever was started since", async () => {
    const world = new World();
    const { byName, view } = nodes(up("a"));
    const asked: string[] = [];
    const fence = (node: string, incarnation: number): Promise<string> => {
      asked.push(`${node}/${incarnation}`);
      return Promise.resolve("power off");
    };
    const { made, proposed, answer } = detector(world, view, conf(1, 2, 3), () => true, fence);
    answer({ error: { code: ErrorCode.NO_QUORUM, message: "no quorum" } });
    for (const from of [1, 2]) made.revoked(from, { node: "a", incarnation: 1 });
    await world.pass(config.nodeDownRetryMs + 10);
    made.tick();
    await world.pass(10);
    assert.equal(proposed.length, 2);
    assert.deepEqual(asked, ["a/1"]);
    assert.equal(proposed[1]?.fenceConfirmed, "power off");
    byName.set("a", up("a", 2));
    for (const from of [1, 2]) made.revoked(from, { node: "a", incarnation: 2 });
    await world.pass(10);
    assert.deepEqual(asked, ["a/1", "a/2"], "another incarnation is another question");
  });
});
