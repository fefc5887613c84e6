import assert from "node:assert/strict";
import { planTransfer } from "../../src/coordinator/transfer-plan.js";
import { Transfers } from "../../src/coordinator/transfers.js";
import { ErrorCode, type HoldfastError } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { World } from "../client/world.js";
import { OneMember } from "./one-member.js";

const code = (wanted: ErrorCode) => (error: HoldfastError) => {
  assert.equal(error.codeName, ErrorCode[wanted]);
  return true;
};

describe("coordinator: transfer plan", () => {
  function made() {
    const member = new OneMember(new World());
    const plan = (request: v1.ITransferRequest) => planTransfer(member.machine, request, 1);
    return { member, plan };
  }

  it("names who moves where, and why the others are refused", () => {
    const { member, plan } = made();
    const id = member.open("n1", 1);
    member.register("kv", 1, { foreign: true });
    member.apply({ scheduleNode: { node: "n3", cordoned: true, reason: "disk" } });
    const { items, candidates, blockers } = plan({ sessionId: id });
    assert.deepEqual(
      items?.map(({ sessionId, from, to, epochBefore }) => [sessionId, from, to, epochBefore]),
      [[id, "n1", "n2", 1]],
    );
    assert.deepEqual(blockers, []);
    const reasons = new Map(candidates?.map((c) => [c.node, c.accepted ? "accepted" : c.reason]));
    assert.equal(reasons.get("n2"), "accepted");
    assert.equal(reasons.get("n3"), "cordoned");
    assert.equal(reasons.get("n1"), "owns it already");
    assert.match(reasons.get("kv") ?? "", /not ours/);
  });

  it("takes a cordoned node when it is named", () => {
    const { member, plan } = made();
    const id = member.open("n1", 1);
    member.apply({ scheduleNode: { node: "n3", cordoned: true } });
    assert.equal(plan({ sessionId: id, to: "n3" }).items?.[0]?.to, "n3");
  });

  it("empties a node over the others, evenly", () => {
    const { member, plan } = made();
    for (let i = 1; i <= 10; i++) member.open("n1", i);
    const targets = plan({ node: "n1", drain: true }).items?.map((item) => item.to) ?? [];
    assert.equal(targets.filter((to) => to === "n2").length, 5);
    assert.equal(targets.filter((to) => to === "n3").length, 5);
  });

  it("says that nothing is to be done", () => {
    const { member, plan } = made();
    const id = member.open("n2", 1);
    assert.equal(plan({ sessionId: id, to: "n2" }).noChange, true);
    assert.equal(plan({ node: "n1" }).noChange, true);
  });

  it("lists what blocks: no target, an owner that is down, another operation, one handle alone", () => {
    const { member, plan } = made();
    const id = member.open("n1", 1);
    for (const node of ["n2", "n3"]) member.apply({ nodeDown: { node, incarnation: 1, cause: "test" } });
    assert.match(plan({ sessionId: id }).blockers?.[0] ?? "", /no node may take it/);
    assert.match(plan({ sessionId: id, to: "n2" }).blockers?.[0] ?? "", /no node may take it/);
    member.apply({ nodeDown: { node: "n1", incarnation: 1, cause: "test" } });
    assert.ok(plan({ sessionId: id }).blockers?.some((text) => /owner n1 is not up/.test(text)));
  });

  it("by force tells how long owners are waited for, and nothing of those that are fenced", () => {
    const { member } = made();
    const id = member.open("n1", 1);
    const request = { sessionId: id, to: "n2", force: true };
    const plan = () => planTransfer(member.machine, request, 1, () => 899.5);
    assert.equal(plan().expectedWaitMs, 900);
    assert.match(plan().notes?.[0] ?? "", /^n1 is up: .*\(900 ms from now\)$/);
    assert.equal(planTransfer(member.machine, { ...request, force: false }, 1).expectedWaitMs, undefined);
    for (const node of ["n2", "n3", "n1"])
      member.apply({ nodeDown: { node, incarnation: 1, cause: "test" } });
    assert.deepEqual([plan().expectedWaitMs, plan().notes], [0, []]);
  });

  it("says of each target that it does not take why", () => {
    const { member, plan } = made();
    const id = member.open("n1", 1);
    member.apply({ nodeDown: { node: "n2", incarnation: 1, cause: "lease lapsed" } });
    member.apply({ scheduleNode: { node: "n3", cordoned: true, draining: true } });
    assert.deepEqual(plan({ sessionId: id, to: "n3" }).blockers, [
      `session ${id}: no node may take it (n3: draining)`,
    ]);
    assert.deepEqual(plan({ sessionId: id }).blockers, [
      `session ${id}: no node may take it (n2: not up: lease lapsed; n3: draining)`,
    ]);
  });

  it("has what the caller expects among its blockers, also where everything is in its place", () => {
    const { member, plan } = made();
    const id = member.open("n1", 1);
    assert.deepEqual(plan({ sessionId: id, to: "n2", expectOwner: "n1", expectEpoch: 1 }).blockers, []);
    for (const to of ["n1", "n2"]) {
      const wrong = plan({ sessionId: id, to, expectOwner: "n3", expectEpoch: 7 });
      assert.deepEqual(wrong.blockers, [
        `session ${id} is owned by n1, not by n3`,
        `session ${id} is at epoch 1, not 7`,
      ]);
      assert.equal(wrong.noChange, false);
    }
    const hash = plan({ sessionId: id, to: "n2" }).hash;
    assert.equal(plan({ sessionId: id, to: "n2", expectOwner: "n1" }).hash, hash, "no part of the plan");
  });

  it("of a drain: a node that is empty is still to be cordoned; one that is drained needs nothing", () => {
    const { member, plan } = made();
    const drain = { node: "n1", drain: true };
    assert.equal(plan(drain).noChange, false);
    assert.deepEqual(plan(drain).notes, ["n1 gets no new sessions from then on, until holdfast uncordon n1"]);
    member.apply({ scheduleNode: { node: "n1", cordoned: true, draining: true } });
    assert.deepEqual([plan(drain).noChange, plan(drain).notes], [true, []]);
    assert.equal(plan({ node: "n1" }).noChange, true, "a transfer changes no schedule");
  });

  it("changes its hash when the world changes, and only then", () => {
    const { member, plan } = made();
    const id = member.open("n1", 1);
    const first = plan({ sessionId: id, to: "n2" }).hash;
    assert.equal(plan({ sessionId: id, to: "n2" }).hash, first);
    assert.notEqual(plan({ sessionId: id, to: "n3" }).hash, first);
    const fence = { sessionId: id, epoch: 1, node: "n1", nodeIncarnation: 1 };
    member.apply({ moveSession: { fence, to: "n3" } });
    assert.notEqual(plan({ sessionId: id, to: "n2" }).hash, first);
  });

  it("refuses requests that name nothing, too much, or what is not there", () => {
    const { plan } = made();
    assert.throws(() => plan({}), code(ErrorCode.INVALID_ARGUMENT));
    assert.throws(() => plan({ sessionId: 1, node: "n1" }), code(ErrorCode.INVALID_ARGUMENT));
    assert.throws(() => plan({ sessionId: 99 }), code(ErrorCode.UNKNOWN_SESSION));
    assert.throws(() => plan({ node: "n9" }), code(ErrorCode.UNKNOWN_NODE));
    assert.throws(() => plan({ node: "n1", to: "n9" }), code(ErrorCode.UNKNOWN_NODE));
    assert.throws(() => plan({ node: "n1", to: "n1", drain: true }), code(ErrorCode.INVALID_ARGUMENT));
    assert.throws(() => plan({ share: "nowhere" }), code(ErrorCode.UNKNOWN_SHARE));
    assert.equal(plan({ share: "demo" }).noChange, true);
  });
});

describe("coordinator: transfers", () => {
  /** File nodes that release a frozen session after `drainMs`, as ours do; those in `deaf` do not. */
  function made(drainMs = 5) {
    const world = new World();
    const member = new OneMember(world);
    const deaf = new Set<string>();
    const frozenAt = new Map<number, number>();
    const freezes: number[] = [];
    member.replica.onEvents((events) => {
      for (const event of events) {
        const session = event.session;
        if (event.kind !== "session-frozen" || !session?.frozenBy || deaf.has(session.owner ?? "")) continue;
        frozenAt.set(session.id ?? 0, world.nowMs);
        world.after(drainMs, () => release(session, session.frozenBy ?? ""));
      }
    });
    const release = (session: v1.ISessionRecord, operationId: string) => {
      const operation = [...member.machine.operations()].find((op) => op.id === operationId);
      const to = operation?.items?.find((item) => item.sessionId === session.id)?.to ?? "";
      const fence: v1.IFence = {
        sessionId: session.id ?? 0,
        epoch: session.epoch ?? 0,
        node: session.owner ?? "",
        nodeIncarnation: session.ownerIncarnation ?? 0,
      };
      const freezeMs = Math.round(world.nowMs - (frozenAt.get(session.id ?? 0) ?? 0));
      const result = member.apply({ moveSession: { fence, to, operationId, fenceUs: freezeMs * 1_000 } });
      if (!result.error) freezes.push(freezeMs);
    };
    const transfers = new Transfers({
      runtime: world.runtime,
      replica: member.replica,
      releaseTimeoutMs: 500,
    });
    const operation = (id: string) =>
      [...member.machine.operations()].find((op) => op.id === id) ?? assert.fail(`no operation ${id}`);
    const ended = (id: string) => world.until(() => operation(id).state !== "running", 30_000);
    const begin = (request: v1.ITransferRequest) => world.settle(transfers.begin(request));
    return { world, member, deaf, transfers, operation, ended, begin, freezes };
  }

  it("moves a session with its owner's consent, and records how long it was frozen", async () => {
    const { member, begin, ended, operation } = made(20);
    const id = member.open("n1", 1);
    const begun = await begin({ sessionId: id, to: "n2", operationId: "op-1", requestedBy: "me" });
    assert.equal(begun.state, "running");
    await ended("op-1");
    const done = operation("op-1");
    assert.equal(done.state, "done");
    assert.equal(member.machine.session(id)?.owner, "n2");
    assert.equal(member.machine.session(id)?.epoch, 2);
    const [item] = done.items ?? [];
    assert.deepEqual([item?.state, item?.epochAfter, item?.fenceUs], ["moved", 2, 20_000]);
    assert.equal(planTransfer(member.machine, { sessionId: id, to: "n1" }, 1).expectedFreezeMs, 20);
  });

  it("drains a node: cordons it, moves everything, freezes each session only for its own move", async () => {
    const { member, begin, ended, operation, freezes } = made(10);
    const ids = Array.from({ length: 100 }, (_, i) => member.open("n1", i + 1));
    await begin({ node: "n1", drain: true, operationId: "op-1", reason: "kernel update" });
    await ended("op-1");
    assert.equal(operation("op-1").state, "done");
    assert.equal([...member.machine.sessionsOf("n1")].length, 0);
    assert.equal(member.machine.node("n1")?.draining, true);
    assert.equal(freezes.length, ids.length);
    assert.ok(Math.max(...freezes) <= 20, `longest freeze ${Math.max(...freezes)} ms`);
  });

  it("is driven on by the next leader", async () => {
    const { world, member, begin, ended, operation } = made();
    const id = member.open("n1", 1);
    member.lead(false);
    await begin({ sessionId: id, to: "n2", operationId: "op-1" });
    await world.pass(2_000);
    assert.equal(operation("op-1").state, "running");
    assert.equal(member.machine.session(id)?.frozenBy, "", "nothing is frozen while nobody drives it");
    member.lead(true);
    await ended("op-1");
    assert.equal(member.machine.session(id)?.owner, "n2");
  });

  it("thaws a session whose owner does not release it, asks again, and gives up with a clear word", async () => {
    const { world, member, deaf, begin, ended, operation } = made();
    const id = member.open("n1", 1);
    deaf.add("n1");
    await begin({ sessionId: id, to: "n2", operationId: "op-1" });
    await ended("op-1");
    assert.equal(operation("op-1").state, "failed");
    assert.match(operation("op-1").error ?? "", /does not release it/);
    assert.equal(member.machine.session(id)?.frozenBy, "");
    assert.equal(member.machine.session(id)?.owner, "n1");
    const thaws = member.proposed.filter((command) => command.freezeSession?.thaw);
    assert.ok(thaws.length >= 2);
    assert.ok(world.nowMs < 5_000);
  });

  it("goes on when a deaf owner hears again", async () => {
    const { world, member, deaf, begin, ended, operation } = made();
    const id = member.open("n1", 1);
    deaf.add("n1");
    await begin({ sessionId: id, to: "n2", operationId: "op-1" });
    world.after(700, () => deaf.clear());
    await ended("op-1");
    assert.equal(operation("op-1").state, "done");
    assert.equal(member.machine.session(id)?.owner, "n2");
  });

  it("is one operation when two nodes are asked for it at the same time", async () => {
    const { world, member, transfers, ended, operation } = made();
    const other = new Transfers({ runtime: world.runtime, replica: member.replica });
    const id = member.open("n1", 1);
    const request = { sessionId: id, to: "n2", operationId: "op-1" };
    const both = [transfers.begin(request), other.begin(request)];
    const begun = await world.settle(Promise.all(both));
    assert.deepEqual(
      begun.map((each) => each.id),
      ["op-1", "op-1"],
    );
    await ended("op-1");
    assert.equal(operation("op-1").state, "done");
    const again = await world.settle(other.begin(request));
    assert.deepEqual([again.id, again.state], ["op-1", "done"]);
    assert.equal([...member.machine.operations()].length, 1);
    other.stop();
  });

  it("is found where it is in its own way: begun by another node after this one had looked", async () => {
    const { world, member, transfers } = made();
    const id = member.open("n1", 1);
    const items = [{ sessionId: id, to: "n3", epochBefore: 1 }];
    const begun = transfers.begin({ sessionId: id, to: "n2", operationId: "op-1" });
    world.after(0.5, () =>
      member.apply({ beginOperation: { operation: { id: "op-1", kind: "transfer", items } } }),
    );
    assert.equal((await world.settle(begun)).items?.[0]?.to, "n3", "the first plan is the operation");
  });

  it("moves by force what a dead owner cannot release, and not before it is dead", async () => {
    const { world, member, deaf, begin, ended, operation } = made();
    const id = member.open("n1", 1);
    deaf.add("n1");
    const request = { sessionId: id, to: "n2", force: true, operationId: "op-1" };
    await assert.rejects(begin(request), code(ErrorCode.INVALID_ARGUMENT));
    await begin({ ...request, reason: "n1 hangs" });
    await world.pass(800);
    assert.equal(member.machine.session(id)?.owner, "n1", "an owner that holds its lease is not robbed");
    member.apply({ nodeDown: { node: "n1", incarnation: 1, cause: "lease" } });
    await ended("op-1");
    assert.equal(operation("op-1").state, "done");
    assert.equal(member.machine.session(id)?.owner, "n2");
  });

  it("fails what has no target any more, and does the rest", async () => {
    const { world, member, begin, ended, operation } = made(300);
    const a = member.open("n1", 1);
    const b = member.open("n1", 2);
    await begin({ node: "n1", operationId: "op-1" });
    const toN3 = operation("op-1").items?.find((item) => item.to === "n3")?.sessionId;
    await world.pass(20);
    member.apply({ nodeDown: { node: "n3", incarnation: 1, cause: "test" } });
    await ended("op-1");
    assert.equal(operation("op-1").state, "failed");
    assert.match(operation("op-1").error ?? "", new RegExp(`session ${toN3}: n3 is not up`));
    const other = toN3 === a ? b : a;
    assert.equal(member.machine.session(other)?.owner, "n2");
    assert.equal(member.machine.session(toN3 ?? 0)?.frozenBy, "");
  });

  it("refuses a plan, an owner or an epoch of yesterday, and a transfer without a change", async () => {
    const { member, world, transfers, begin } = made();
    const id = member.open("n1", 1);
    const plan = await world.settle(transfers.plan({ sessionId: id, to: "n2" }));
    const request = { sessionId: id, to: "n2" };
    await assert.rejects(begin({ ...request, planHash: "0000" }), code(ErrorCode.PRECONDITION_FAILED));
    await assert.rejects(begin({ ...request, expectOwner: "n3" }), code(ErrorCode.PRECONDITION_FAILED));
    await assert.rejects(begin({ ...request, expectEpoch: 7 }), code(ErrorCode.PRECONDITION_FAILED));
    await assert.rejects(begin({ sessionId: id, to: "n1" }), code(ErrorCode.NO_CHANGE));
    const expecting = { sessionId: id, to: "n1", expectOwner: "n3" };
    await assert.rejects(begin(expecting), code(ErrorCode.PRECONDITION_FAILED));
    await begin({ ...request, planHash: plan.hash ?? "", expectOwner: "n1", expectEpoch: 1 });
  });

  it("drains once: what is left of an interrupted drain is moved by the next, a drained node is no change", async () => {
    const { member, transfers, deaf, world, begin, ended, operation } = made();
    const ids = [member.open("n1", 1), member.open("n1", 2)];
    deaf.add("n1");
    const drain = { node: "n1", drain: true };
    await begin({ ...drain, operationId: "op-1" });
    await world.settle(transfers.cancel({ id: "op-1" }));
    deaf.clear();
    await begin({ ...drain, operationId: "op-2" });
    await ended("op-2");
    assert.deepEqual(
      operation("op-2").items?.map((item) => [item.sessionId, item.state]),
      ids.map((id) => [id, "moved"]),
    );
    await assert.rejects(begin({ ...drain, operationId: "op-3" }), code(ErrorCode.NO_CHANGE));
    await begin({ ...drain, operationId: "op-2" });
  });

  it("finds its first answer again when the same operation is asked for twice", async () => {
    const { member, begin, ended } = made();
    const id = member.open("n1", 1);
    const request = { sessionId: id, to: "n2", operationId: "op-1" };
    await begin(request);
    await ended("op-1");
    const again = await begin(request);
    assert.equal(again.state, "done");
    assert.equal([...member.machine.operations()].length, 1);
  });

  it("cancels: what was not moved stays and is thawed", async () => {
    const { world, member, deaf, transfers, begin, operation } = made();
    const id = member.open("n1", 1);
    deaf.add("n1");
    await begin({ sessionId: id, to: "n2", operationId: "op-1" });
    await world.until(() => member.machine.session(id)?.frozenBy === "op-1");
    await world.settle(transfers.cancel({ id: "op-1", requestedBy: "me" }));
    assert.equal(operation("op-1").state, "cancelled");
    assert.equal(member.machine.session(id)?.frozenBy, "");
    await world.pass(3_000);
    assert.equal(member.machine.session(id)?.owner, "n1");
  });
});
