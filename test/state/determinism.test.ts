import assert from "node:assert/strict";
import fc from "fast-check";
import { createStateMachine } from "../../src/state/index.js";
import { takeoverSlice } from "../../src/state/mechanics/takeover.js";
import { v1 } from "../../src/wire/index.js";
import { guid, RH, RWH } from "./harness.js";

/** SEED and RUNS replay and lengthen. */
const seed = Number(process.env["SEED"] ?? 20_261_122);
const numRuns = Number(process.env["RUNS"] ?? 150);

// The second time with takeovers cut in pieces, which takes hundreds of sessions otherwise.
for (const sessionsPerEntry of [takeoverSlice.sessions, 1])
  describe(`state on two members (SEED=${seed}, ${sessionsPerEntry} sessions an entry)`, function () {
    const usual = takeoverSlice.sessions;
    before(() => (takeoverSlice.sessions = sessionsPerEntry));
    after(() => (takeoverSlice.sessions = usual));
    this.timeout(600_000);

    it("determinism: equal commands give equal results, events, records and digests on a member that restarts", () => {
      fc.assert(
        fc.property(programs(), (commands) => {
          const [one, two] = [createStateMachine(), createStateMachine()];
          let other = two;
          const disk = new Map<string, Uint8Array>();
          commands.forEach((command, i) => {
            const context = { index: i + 1, clusterTimeMs: 1_000 + i * 700 };
            const first = one.apply(command, context);
            const second = other.apply(v1.Command.decode(v1.Command.encode(command).finish()), context);
            assert.deepEqual(bytes(first), bytes(second), `command ${i}`);
            if (one.digest() !== other.digest()) {
              assert.deepEqual(dump(one), dump(other), `records after command ${i}`);
              assert.fail(`digests differ after command ${i}, the records do not`);
            }
            for (const { key, value } of other.takeDirty()) {
              const id = Buffer.from(key).toString("latin1");
              if (value === null) disk.delete(id);
              else disk.set(id, value);
            }
            if (i % 7 === 0) {
              other = createStateMachine();
              const sorted = [...disk].sort(([a], [b]) => (a < b ? -1 : 1));
              other.load(sorted.map(([key, value]) => ({ key: Buffer.from(key, "latin1"), value })));
              other.finishLoad();
            }
            assert.deepEqual(dueOf(one, context.clusterTimeMs), dueOf(other, context.clusterTimeMs));
          });
        }),
        { seed, numRuns },
      );
    });
  });

function bytes(applied: { result: v1.ICommandResult; events: readonly v1.IEvent[] }): string[] {
  return [
    Buffer.from(v1.CommandResult.encode(applied.result).finish()).toString("hex"),
    ...applied.events.map((event) => Buffer.from(v1.Event.encode(event).finish()).toString("hex")),
  ];
}

/** Everything that a view shows, to find a difference by. */
function dump(machine: ReturnType<typeof createStateMachine>): unknown {
  const all = (records: Iterable<object>) => [...records].map((record) => JSON.stringify(record)).sort();
  return {
    cluster: JSON.stringify(machine.cluster()),
    sessions: all(machine.sessions()),
    handles: all(machine.handles()),
    leases: all(machine.leases()),
    effects: all(machine.effects()),
    pending: all(machine.pending()),
    failovers: all(machine.failovers()),
  };
}

function dueOf(machine: ReturnType<typeof createStateMachine>, nowMs: number): string[] {
  return machine
    .due(nowMs, 1000)
    .map((command) => Buffer.from(v1.Command.encode(command).finish()).toString("hex"))
    .sort();
}

/** Commands that are mostly sensible, of all kinds, with small ids so that they meet. */
function programs(): fc.Arbitrary<v1.ICommand[]> {
  const small = fc.integer({ min: 1, max: 3 });
  const node = fc.constantFrom("n1", "n2");
  const id = fc.integer({ min: 1, max: 6 }).map((number) => guid(`h${number}`));
  const createGuid = fc.integer({ min: 1, max: 3 }).map((number) => guid(`g${number}`));
  const fence = fc.record({
    sessionId: small,
    epoch: fc.integer({ min: 1, max: 2 }),
    node,
    nodeIncarnation: fc.integer({ min: 1, max: 2 }),
  });
  const request = fc.option(fc.record({ slot: fc.nat(1), sequence: fc.integer({ min: 1, max: 5 }) }), {
    nil: null,
  });
  const path = fc.constantFrom("a", "d", "d/b");
  const leaseKey = fc.constantFrom(guid("k1"), guid("k2"), new Uint8Array(0));
  const observed = fc.record({
    exists: fc.boolean(),
    fileId: fc.constantFrom("f1", "f2"),
    revision: fc.constantFrom(1, 1000),
    directory: fc.constant(false),
  });
  const open = fc.record({
    fence,
    request,
    handleId: id,
    createGuid,
    replay: fc.boolean(),
    kind: fc.integer({ min: 1, max: 4 }),
    share: fc.constant("s"),
    path,
    desiredAccess: fc.constantFrom(1, 2, 3, 0x10003, 0x80),
    shareMode: fc.record({ read: fc.boolean(), write: fc.boolean(), delete: fc.boolean() }),
    disposition: fc.integer({ min: 1, max: 6 }),
    deleteOnClose: fc.boolean(),
    timeoutMs: fc.constantFrom(0, 1000, 5000),
    observed,
    lease: fc.record({ key: leaseKey, state: fc.constantFrom(0, 1, RH, 5, RWH), epoch: small }),
    closeMyOrphans: fc.boolean(),
  });
  const finish = fc.record({
    node,
    nodeIncarnation: fc.integer({ min: 1, max: 2 }),
    effectId: fc.integer({ min: 1, max: 8 }),
    fileId: fc.constantFrom("f1", "f2", "f3"),
    error: fc.option(fc.constant({ code: 28, message: "full" }), { nil: null }),
  });
  const lock = fc.record({
    fence,
    request,
    handleId: id,
    sequenceIndex: fc.nat(2),
    sequenceNumber: fc.nat(2),
    elements: fc.array(
      fc.record({
        offset: fc.nat(4),
        length: fc.nat(4),
        exclusive: fc.boolean(),
        unlock: fc.boolean(),
        failImmediately: fc.boolean(),
      }),
      { maxLength: 2 },
    ),
  });
  const effect = fc.record({
    fence,
    request,
    effect: fc.record({
      kind: fc.integer({ min: 4, max: 10 }),
      handleId: fc.oneof(id, fc.constant(new Uint8Array(0))),
      share: fc.constant("s"),
      path,
      targetPath: fc.constantFrom("", "a", "e"),
      replace: fc.boolean(),
      fileId: fc.constantFrom("", "f1"),
      directory: fc.boolean(),
    }),
  });
  const command: fc.Arbitrary<v1.ICommand> = fc.oneof(
    { weight: 8, arbitrary: open.map((openHandle) => ({ openHandle })) },
    { weight: 8, arbitrary: finish.map((finishEffect) => ({ finishEffect })) },
    { weight: 5, arbitrary: lock.map((one) => ({ lock: one })) },
    { weight: 4, arbitrary: effect.map((beginEffect) => ({ beginEffect })) },
    {
      weight: 3,
      arbitrary: fc.record({ fence, request, handleId: id }).map((closeHandle) => ({ closeHandle })),
    },
    {
      weight: 2,
      arbitrary: fc
        .record({ fence, request, handleId: id, delete: fc.boolean() })
        .map((setDisposition) => ({ setDisposition })),
    },
    {
      weight: 3,
      arbitrary: fc
        .record({
          fence,
          handleId: id,
          createGuid,
          persistent: fc.boolean(),
          lease: fc.record({ key: leaseKey }),
        })
        .map((reconnectHandle) => ({ reconnectHandle })),
    },
    {
      weight: 3,
      arbitrary: fc
        .record({ fence, key: leaseKey, state: fc.constantFrom(0, 1, RH, 5) })
        .map((ackLease) => ({ ackLease })),
    },
    {
      weight: 2,
      arbitrary: fc
        .record({ fence, pendingId: fc.integer({ min: 1, max: 5 }) })
        .map((cancelPending) => ({ cancelPending })),
    },
    {
      weight: 2,
      arbitrary: fc
        .record({
          node,
          nodeIncarnation: fc.integer({ min: 1, max: 2 }),
          pendingId: fc.integer({ min: 1, max: 5 }),
        })
        .map((lockPrepared) => ({ lockPrepared })),
    },
    {
      weight: 2,
      arbitrary: fc.record({ fence, connection: small }).map((disconnectSession) => ({ disconnectSession })),
    },
    {
      weight: 4,
      arbitrary: fc.tuple(small, node).map(([sessionId, at]) => ({
        connectSession: {
          sessionId,
          clientGuid: guid(`c${sessionId % 2}`),
          resumeToken: guid(`t${sessionId}`),
          principal: "p",
          node: at,
          nodeIncarnation: 1,
        },
      })),
    },
    { weight: 2, arbitrary: fc.record({ fence }).map((takeoverDone) => ({ takeoverDone })) },
    { weight: 1, arbitrary: fc.record({ fence }).map((closeSession) => ({ closeSession })) },
    {
      weight: 1,
      arbitrary: fc
        .record({
          fence,
          to: node,
          forced: fc.boolean(),
          handleId: fc.oneof(id, fc.constant(new Uint8Array(0))),
        })
        .map((moveSession) => ({ moveSession })),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ fence, operationId: fc.constant("op"), thaw: fc.boolean() })
        .map((freezeSession) => ({ freezeSession })),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ node, incarnation: fc.integer({ min: 1, max: 2 }) })
        .map((nodeDown) => ({ nodeDown })),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ node, incarnation: fc.integer({ min: 1, max: 2 }) })
        .map((continueTakeover) => ({ continueTakeover })),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ name: node, incarnation: fc.integer({ min: 1, max: 3 }) })
        .map((one) => ({ registerNode: { node: one } })),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ handleId: id, connection: small, deadlineMs: fc.constantFrom(3000, 6000) })
        .map((expireHandle) => ({ expireHandle })),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ sessionId: small, connection: small, epoch: small })
        .map((expireSession) => ({ expireSession })),
    },
    { weight: 1, arbitrary: id.map((handleId) => ({ forceClose: { handleId, reason: "r" } })) },
    {
      weight: 1,
      arbitrary: fc
        .record({
          key: fc.constant("k"),
          node,
          nodeIncarnation: fc.constant(1),
          epoch: small,
          state: fc.constant(Uint8Array.of(1)),
        })
        .map((storeKey) => ({ storeKey })),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ key: fc.constant("k"), node, nodeIncarnation: fc.constant(1), timeoutMs: fc.constant(500) })
        .map((claimKey) => ({ claimKey })),
    },
  );
  const start: v1.ICommand[] = [
    { initCluster: { clusterId: "c", shares: [{ name: "s", continuouslyAvailable: true }] } },
    ...["n1", "n2"].map((name) => ({ registerNode: { node: { name, incarnation: 1 } } })),
    ...[1, 2, 3].map((number) => ({
      openSession: {
        clientGuid: guid(`c${number % 2}`),
        resumeToken: guid(`t${number}`),
        principal: "p",
        node: number === 2 ? "n2" : "n1",
        nodeIncarnation: 1,
        timeoutMs: 5_000,
      },
    })),
  ];
  return fc.array(command, { minLength: 20, maxLength: 120 }).map((rest) => [...start, ...rest]);
}
