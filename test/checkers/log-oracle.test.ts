import assert from "node:assert/strict";
import { clearMutants, type MutantName, setMutant } from "../../src/state/mutants.js";
import { checkLinearizable, type Operation } from "../../src/testing/linearizability/index.js";
import {
  type RangeLockInput,
  type RangeLockOutput,
  rangeLockModel,
  withoutFairRefusals,
} from "../../src/testing/linearizability/index.js";
import { LockExclusion } from "../../src/testing/checkers/index.js";
import { LogOracle } from "../../src/testing/log-oracle/index.js";
import { Violation } from "../../src/testing/sim/simulation.js";
import { v1 } from "../../src/wire/index.js";
import { sameBytes } from "../../src/wire/same-bytes.js";
import { ALL, type Client, guid, isParked, READ, RH, RWH, World, WRITE } from "../state/harness.js";

const D = v1.Disposition;

/** A directory that the second client has leased. */
function leased({ world, b }: Scene, lease = RH): void {
  world.file("dir", true);
  world.file("dir/f");
  world.opened(b, { path: "dir", directory: true, access: READ, leaseKey: "d", lease });
}

interface Scene {
  readonly world: World;
  readonly a: Client;
  readonly b: Client;
}

/** Programs in which the state machine, made wrong, does what each rule forbids. */
const SCENES: readonly (readonly [mutant: MutantName, checker: string, run: (scene: Scene) => void])[] = [
  [
    "epochUnchecked",
    "fencing",
    ({ world, a }) => {
      const stale = world.openCommand(a, { path: "file" });
      world.kill("n1");
      world.run(stale);
    },
  ],
  [
    "ownerUnchecked",
    "fencing",
    ({ world, a }) => {
      const command = world.openCommand(a, {});
      if (command.openHandle?.fence) command.openHandle.fence.node = "n2";
      world.run(command);
    },
  ],
  [
    "lockDuringTakeover",
    "served before resolution",
    ({ world, a }) => {
      const handle = world.opened(a, { guid: "g" });
      world.run(world.openCommand(a, { path: "new", disposition: D.CREATE }));
      world.kill("n1");
      world.ok(world.connectCommand(a));
      world.reconnect(a, handle);
    },
  ],
  [
    "directoryLeaseKept",
    "directory lease",
    (scene) => {
      leased(scene);
      scene.world.open(scene.a, { path: "dir/new" });
    },
  ],
  [
    "directoryLeaseOfSizes",
    "directory lease",
    (scene) => {
      const { world, a } = scene;
      leased(scene);
      const handleId = world.opened(a, { path: "dir/f" }).id ?? null;
      const effect = { kind: v1.EffectKind.EFFECT_TRUNCATE, handleId };
      world.perform(world.run({ beginEffect: { fence: world.fence(a), effect } }));
    },
  ],
  [
    "parentKeyIgnored",
    "directory lease",
    (scene) => {
      leased(scene);
      scene.world.open(scene.b, { path: "dir/new", leaseKey: "f", lease: RH, parentKey: "d" });
    },
  ],
  ["directoryLeasedForWriting", "directory lease", (scene) => leased(scene, RWH)],
  [
    "replyNotStored",
    "exactly once",
    ({ world, a }) => {
      const handle = world.opened(a);
      const elements = [{ offset: 0, length: 1, exclusive: false, failImmediately: true }];
      const command = world.lockCommand(a, handle, elements, { request: { slot: 0, sequence: 1 } });
      world.run(command);
      world.run(command);
    },
  ],
  [
    "requestMismatchIgnored",
    "exactly once",
    ({ world, a }) => {
      const request = { slot: 0, sequence: 1 };
      world.open(a, { request });
      world.open(a, { path: "x", request });
    },
  ],
  [
    "replayExecutesAgain",
    "create replay",
    ({ world, a }) => {
      world.opened(a, { guid: "g" });
      world.open(a, { guid: "g", replay: true });
    },
  ],
  [
    "lockBucketNotStored",
    "lock sequence",
    ({ world, a }) => {
      const handle = world.opened(a);
      world.lock(a, handle, 0, 1, { bucket: [1, 1] });
      world.lock(a, handle, 0, 1, { bucket: [1, 1] });
    },
  ],
  [
    "lockOverlapOffByOne",
    "no lock held twice",
    ({ world, a }) => {
      const [one, two] = [world.opened(a), world.opened(a)];
      world.lock(a, one, 0, 10);
      world.lock(a, two, 9, 10);
    },
  ],
  [
    "lockWaiterOvertaken",
    "waiter overtaken",
    ({ world, a }) => {
      const [one, two, three] = [world.opened(a), world.opened(a), world.opened(a)];
      world.lock(a, one, 0, 10, { exclusive: false });
      world.lock(a, two, 5, 1, { failImmediately: false });
      world.lock(a, one, 5, 2, { exclusive: false });
      world.lock(a, three, 5, 1, { exclusive: false });
    },
  ],
  [
    "lockRollbackMissing",
    "lock array",
    ({ world, a }) => {
      const handle = world.opened(a);
      world.lock(a, handle, 5, 1);
      const elements = [0, 5].map((offset) => ({
        offset,
        length: 1,
        exclusive: true,
        failImmediately: true,
      }));
      world.run(world.lockCommand(a, handle, elements));
    },
  ],
  [
    "shareCheckOneWay",
    "share modes",
    ({ world, a, b }) => {
      world.opened(a, { access: WRITE });
      world.open(b, { access: READ, shareMode: { read: true } });
    },
  ],
  [
    "disconnectedUnprotected",
    "disconnected holder protected",
    ({ world, a, b }) => {
      world.opened(a, { guid: "g" });
      world.disconnect(a);
      world.open(b);
    },
  ],
  [
    "breakWithoutWait",
    "lease break waits",
    ({ world, a, b }) => {
      world.opened(a, { leaseKey: "k", lease: RWH });
      world.open(b);
    },
  ],
  [
    "storedBreakLost",
    "lease break",
    ({ world, a, b }) => {
      world.opened(a, { guid: "g", leaseKey: "k", lease: RH });
      world.disconnect(a);
      world.open(b, { disposition: D.OVERWRITE });
    },
  ],
  [
    "leaseEpochStands",
    "lease epoch",
    ({ world, a, b }) => {
      world.opened(a, { leaseKey: "k", lease: RWH });
      world.open(b);
    },
  ],
  [
    "expireEarly",
    "never expired early",
    ({ world, a }) => {
      world.opened(a, { guid: "g", timeoutMs: 1_000 });
      world.disconnect(a);
      world.nowMs += 800;
      for (const due of world.machine.due(world.nowMs, 10)) world.run(due);
    },
  ],
  [
    "deleteMarkLostAtExpiry",
    "delete at expiry",
    ({ world, a }) => {
      world.opened(a, { guid: "g", access: ALL, deleteOnClose: true });
      world.disconnect(a);
      world.pass(60_000);
    },
  ],
  [
    "deleteOnCrash",
    "delete on crash",
    ({ world, a }) => {
      world.opened(a, { kind: v1.HandleKind.PLAIN, access: ALL, deleteOnClose: true });
      world.kill("n1");
    },
  ],
  [
    "effectNotHandedOver",
    "effect handed over",
    ({ world, a }) => {
      world.run(world.openCommand(a, { path: "new", disposition: D.CREATE }));
      world.kill("n1");
    },
  ],
  [
    "principalUnchecked",
    "wrong principal",
    ({ world, a }) => {
      world.disconnect(a);
      world.run(world.connectCommand({ ...a, principal: "mallory" }));
    },
  ],
];

/** What the oracle finds in a program; null: nothing. */
function found(run: (scene: Scene) => void): unknown {
  const world = new World();
  let first: unknown = null;
  new LogOracle((error) => (first ??= error)).follow(world.machine);
  world.file("file");
  try {
    run({ world, a: world.client("a"), b: world.client("b", "n3") });
  } catch (error) {
    // Helpers of the harness give up where the state machine is right; the oracle has seen what it has seen.
    if (!(error instanceof assert.AssertionError)) throw error;
  }
  return first;
}

describe("the log oracle", () => {
  afterEach(clearMutants);
  for (const [mutant, checker, run] of SCENES) {
    it(`${checker}: notices ${mutant}, and nothing without it`, () => {
      assert.equal(found(run), null);
      setMutant(mutant, true);
      const error = found(run);
      assert.ok(error instanceof Violation, "nothing was noticed");
      assert.equal(error.checker, checker);
    });
  }

  // Cluster seed 233: its client asked for the removal, and it waited for a handle that a crash has closed.
  it("delete on crash: a removal that somebody waits for goes on", () => {
    let parked = false;
    let begun: v1.IEffectRecord | undefined;
    const run = ({ world, a, b }: Scene) => {
      world.opened(b, { kind: v1.HandleKind.PLAIN, leaseKey: "k", lease: RH });
      const fileId = world.files.get("ca:file")?.id ?? "";
      const effect = { kind: v1.EffectKind.EFFECT_DELETE, share: "ca", path: "file", fileId };
      const request = { slot: 1, sequence: 1 };
      parked = isParked(world.run({ beginEffect: { fence: world.fence(a), request, effect } }));
      world.kill("n3");
      [begun] = [...world.machine.effects()];
    };
    assert.equal(found(run), null);
    assert.ok(parked);
    assert.equal(begun?.kind, v1.EffectKind.EFFECT_DELETE);
  });

  // Cluster seed 2000003: two opens wait for one lease, and one of their clients goes away meanwhile.
  it("disconnected holder protected: from who is let in after it, not from who was let in before", () => {
    let open = 0;
    const run =
      (awayFirst: boolean) =>
      ({ world, a, b }: Scene) => {
        const away = world.client("away", "n2");
        world.opened(a, { guid: "g", leaseKey: "k", lease: RWH });
        for (const waiting of awayFirst ? [away, b] : [b, away])
          assert.ok(isParked(world.open(waiting, { guid: waiting === b ? "b" : "w" })));
        world.disconnect(away);
        world.ack(a, "k", RH);
        open = [...world.machine.handles()].filter(
          ({ state }) => state === v1.HandleState.HANDLE_OPEN,
        ).length;
      };
    assert.equal(found(run(false)), null);
    assert.equal(open, 3);
    assert.equal(found(run(true)), null);
    assert.equal(open, 2, "the second was refused");
    setMutant("disconnectedUnprotected", true);
    assert.ok(found(run(true)) instanceof Violation);
  });

  // Cluster seed 100385: let in while its client was away, and closed by the next of those who waited.
  it("share modes: who is let in and closed again by one entry stands in nobody's way", () => {
    let holders: string[] = [];
    const run = ({ world, a, b }: Scene) => {
      const away = world.client("away", "n2");
      world.opened(a, { guid: "g", leaseKey: "k", lease: RWH });
      const shareMode = { read: true, write: true, delete: true };
      assert.ok(isParked(world.open(away, { guid: "w", kind: v1.HandleKind.PLAIN, shareMode })));
      assert.ok(isParked(world.open(b, { guid: "b", access: READ, shareMode: { read: true } })));
      world.disconnect(away);
      world.close(
        a,
        [...world.machine.handles()].find(({ createGuid }) => sameBytes(createGuid, guid("g"))) ?? {},
      );
      holders = [...world.machine.handles()]
        .filter(({ state }) => state === v1.HandleState.HANDLE_OPEN)
        .map(({ createGuid }) => Buffer.from(createGuid ?? []).toString("hex"));
    };
    assert.equal(found(run), null);
    assert.deepEqual(holders, [Buffer.from(guid("b")).toString("hex")]);
  });

  // Cluster seed 8: the tombstone of such a handle goes with the session that resumed it, not with the one that opened it.
  it("create replay: a guid is free when the session is gone into which its handle was resumed", () => {
    let executed: boolean | null = null;
    const again = (gone: boolean) => (scene: Scene) => {
      const { world, a } = scene;
      executed = null;
      const handle = world.opened(a, { guid: "g" });
      world.disconnect(a);
      world.connect(a);
      const second = world.client("a", "n2", { resumeToken: guid("second") });
      world.reconnect(second, handle);
      world.close(second, handle);
      if (gone) world.ok({ closeSession: { fence: world.fence(second) } });
      executed = !world.open(a, { guid: "g", replay: true }).error;
    };
    assert.equal(found(again(true)), null);
    assert.equal(executed, true);
    assert.equal(found(again(false)), null);
    assert.equal(executed, false);
    setMutant("tombstoneForgotten", true);
    assert.ok(
      found(again(false)) instanceof Violation,
      "a tombstone that was forgotten too early was not noticed",
    );
  });
});

describe("linearizability of byte-range locks", () => {
  type Op = Operation<RangeLockInput, RangeLockOutput>;
  const op = (callUs: number, returnUs: number, input: RangeLockInput, done: boolean | null): Op => ({
    client: 0,
    input,
    callUs,
    returnUs,
    output: done === null ? null : { done },
  });
  const lock = (holder: string, start: number, end: number, exclusive = true): RangeLockInput => ({
    lock: { start, end },
    exclusive,
    holder,
  });
  const verdict = (history: readonly Op[]): string =>
    checkLinearizable(history, rangeLockModel, 10_000).verdict;

  it("ranges that touch, shared ranges, and an unknown unlock are fine", () => {
    const history = [
      op(0, 1, lock("a", 0, 4), true),
      op(2, 3, lock("b", 4, 6, false), true),
      op(2, 3, lock("c", 5, 7, false), true),
      op(4, Number.POSITIVE_INFINITY, { unlock: { start: 0, end: 4 }, holder: "a" }, null),
      op(5, 6, lock("b", 3, 4), true),
    ];
    assert.equal(verdict(history), "linearizable");
  });

  it("two exclusive locks on one byte, a refusal for nothing, and an unlock that was not there are not", () => {
    assert.equal(
      verdict([op(0, 1, lock("a", 0, 4), true), op(2, 3, lock("b", 3, 5), true)]),
      "not-linearizable",
    );
    assert.equal(
      verdict([op(0, 1, lock("a", 0, 4), true), op(2, 3, lock("b", 4, 5), false)]),
      "not-linearizable",
    );
    assert.equal(
      verdict([op(0, 1, { unlock: { start: 0, end: 1 }, holder: "a" }, true)]),
      "not-linearizable",
    );
    assert.equal(
      verdict([op(0, 1, lock("a", 0, 4, false), true), op(2, 3, lock("b", 3, 5), true)]),
      "not-linearizable",
    );
  });

  it("a refusal beside another's request for the range needs no lock; one beside nobody's does", () => {
    const unfinished = op(0, Number.POSITIVE_INFINITY, lock("a", 0, 4), null);
    const refused = op(2, 3, lock("b", 3, 5), false);
    const history = (other: Op) => withoutFairRefusals([other, refused]);
    assert.deepEqual(history(unfinished), [unfinished]);
    const refusedToo = op(1, 2, lock("a", 0, 4), false);
    assert.deepEqual(history(refusedToo), [], "two that met");
    assert.ok(history(op(1, 3, lock("b", 3, 5), true)).includes(refused), "its own request explains nothing");
    for (const other of [op(0, 1, lock("a", 0, 4), false), op(1, 3, lock("a", 5, 6), true)]) {
      assert.ok(history(other).includes(refused), JSON.stringify(other));
      assert.equal(verdict(history(other)), "not-linearizable");
    }
  });

  it("locks in the way of I/O are those that others hold all the while", () => {
    const locks = new LockExclusion();
    locks.granted("f", "a", { start: 0, end: 4 }, false);
    assert.deepEqual(locks.against("f", "b", { start: 3, end: 5 }, false), []);
    assert.deepEqual(locks.against("f", "a", { start: 3, end: 5 }, true), []);
    const [held] = locks.against("f", "b", { start: 3, end: 5 }, true);
    assert.ok(held !== undefined && locks.isHeld("f", held));
    locks.releasing("f", "a", { start: 0, end: 4 });
    assert.equal(locks.isHeld("f", held), false);
  });
});
