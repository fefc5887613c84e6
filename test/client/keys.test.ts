import assert from "node:assert/strict";
import { resolveOptions } from "../../src/client/options.js";
import { ResumeKeys } from "../../src/client/keys.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { FakeNetwork, NOBODY, type ServerStream } from "./fake-network.js";
import { SEED, World } from "./world.js";

const bytes = (s: string) => new TextEncoder().encode(s);

const MEMBERS = ["n1:1", "n2:1", "n3:1"].map((grpcAddress, i) => ({ raftId: i + 1, grpcAddress }));

/** The part of a coordinator that promises leases. */
class Promises {
  accept(stream: ServerStream<v1.IHeartbeatResponse>) {
    return {
      onMessage: (request: v1.IHeartbeatRequest) =>
        stream.send({ sequence: request.sequence ?? 0, granted: true, coordinators: 3 }),
      onClosed() {},
    };
  }
}

/** The part of the coordinator that keeps keys, shared by all its nodes; applies first, answers then. */
class KeyCoordinator {
  readonly keys = new Map<string, v1.IResumeKeyRecord>();
  readonly applied: string[] = [];
  refusals = 0;

  accept(stream: ServerStream<v1.ICoordinatorResponse>) {
    return {
      onMessage: (request: v1.ICoordinatorRequest) => stream.send(this.answer(request)),
      onClosed() {},
    };
  }

  protected answer(request: v1.ICoordinatorRequest): v1.ICoordinatorResponse {
    const id = request.id ?? 0;
    if (request.query?.cluster) return { id, answer: { members: MEMBERS } };
    if (this.refusals > 0) {
      this.refusals -= 1;
      return { id, error: { code: ErrorCode.NO_QUORUM, message: "no leader" } };
    }
    if (request.query) {
      const record = this.keys.get(request.query.key ?? "");
      return { id, answer: { keys: record ? [record] : [] } };
    }
    return { id, result: this.#apply(request.command ?? {}) };
  }

  #apply(command: v1.ICommand): v1.ICommandResult {
    const { claimKey: claim, storeKey: store, releaseKey: release } = command;
    if (claim) {
      const key = claim.key ?? "";
      if (this.keys.has(key)) return refused(ErrorCode.PRECONDITION_FAILED, "held");
      const { node: owner = "", nodeIncarnation: ownerIncarnation = 0, state = null } = claim;
      this.applied.push(`claim ${key}`);
      return this.#put({ key, owner, ownerIncarnation, state, epoch: 1, version: 1 });
    }
    if (store) {
      const now = this.keys.get(store.key ?? "");
      if (now === undefined) return refused(ErrorCode.UNKNOWN_KEY, "no such key");
      if (store.epoch !== now.epoch) return refused(ErrorCode.STALE_EPOCH, "fenced");
      if (store.expectVersion && store.expectVersion !== now.version)
        return refused(ErrorCode.PRECONDITION_FAILED, `version ${now.version}`);
      this.applied.push(`store ${now.key}`);
      return this.#put({ ...now, state: store.state ?? null, version: (now.version ?? 0) + 1 });
    }
    if (release) {
      if (!this.keys.delete(release.key ?? "")) return refused(ErrorCode.UNKNOWN_KEY, "no such key");
      this.applied.push(`release ${release.key}`);
    }
    return {};
  }

  #put(record: v1.IResumeKeyRecord): v1.ICommandResult {
    this.keys.set(record.key ?? "", record);
    return { key: record };
  }
}

function refused(code: ErrorCode, message: string): v1.ICommandResult {
  return { error: { code, message } };
}

/** One that takes and gives several calls in a frame. */
class FramedCoordinator extends KeyCoordinator {
  readonly framesOf: number[] = [];

  override accept(stream: ServerStream<v1.ICoordinatorResponse>) {
    return {
      onMessage: (request: v1.ICoordinatorRequest) => {
        const calls = request.calls?.length ? request.calls : [request];
        this.framesOf.push(calls.length);
        const answers = calls.map((call) => this.answer(call));
        const frameCallsMax = request.frameCallsMax ? 3 : 0;
        stream.send(answers.length === 1 ? { ...answers[0], frameCallsMax } : { answers });
      },
      onClosed() {},
    };
  }
}

describe(`client: resume keys (SEED=${SEED})`, () => {
  function start(coordinator = new KeyCoordinator()) {
    const world = new World();
    const network = new FakeNetwork(world);
    const nodes = ["n1:1", "n2:1", "n3:1"];
    for (const address of nodes) network.add(address, NOBODY, coordinator).heartbeats = new Promises();
    const keys = new ResumeKeys(network, world.runtime, resolveOptions({ nodes }), {
      server: "files-1",
      incarnation: 3,
    });
    const link = (address: string) => network.nodes.get(address) ?? assert.fail();
    return { world, network, coordinator, keys, link };
  }

  /** n1 carries out what it gets and its answers are lost; then it dies. */
  async function loseAnswer<T>(started: ReturnType<typeof start>, call: () => Promise<T>): Promise<T> {
    const { world, network, coordinator, link } = started;
    const before = coordinator.applied.length;
    link("n1:1").reachability = "mute";
    const answer = call();
    answer.catch(() => undefined);
    await world.until(() => coordinator.applied.length > before);
    link("n1:1").reachability = "refuse";
    network.cut("n1:1");
    return world.settle(answer);
  }

  it("claims, stores, reads and releases", async () => {
    const { world, keys } = start();
    const claimed = await world.settle(keys.claim("k", bytes("a")));
    const stored = await world.settle(keys.store("k", claimed.epoch ?? 0, bytes("b")));
    assert.equal(stored.version, 2);
    assert.deepEqual(Buffer.from((await world.settle(keys.get("k")))?.state ?? []), Buffer.from("b"));
    await world.settle(keys.release("k", 1));
    assert.equal(await world.settle(keys.get("k")), null);
    keys.close();
  });

  it("puts calls of one turn into frames as large as the node takes, and finds each its answer", async () => {
    const framed = new FramedCoordinator();
    const { world, keys } = start(framed);
    await world.settle(keys.claim("k0", bytes("a")));
    framed.framesOf.length = 0;
    const names = ["k1", "k2", "k3", "k4", "k5"];
    const records = await world.settle(Promise.all(names.map((key) => keys.claim(key, bytes(key)))));
    assert.deepEqual(framed.framesOf, [3, 2]);
    assert.deepEqual(
      records.map(({ key }) => key),
      names,
    );
    keys.close();
  });

  it("sends single calls to a node that does not say that it takes more", async () => {
    const { world, keys, coordinator } = start();
    const names = ["k1", "k2", "k3"];
    await world.settle(Promise.all(names.map((key) => keys.claim(key, bytes(key)))));
    assert.deepEqual(
      coordinator.applied,
      names.map((key) => `claim ${key}`),
    );
    keys.close();
  });

  it("gets its own claim back when the answer was lost with the node", async () => {
    const started = start();
    await started.world.settle(started.keys.register());
    const claimed = await loseAnswer(started, () => started.keys.claim("k", bytes("a")));
    assert.equal(claimed.owner, "files-1");
    assert.deepEqual(started.coordinator.applied, ["claim k"]);
  });

  it("knows its own conditional store when the answer was lost, and stores once", async () => {
    const started = start();
    await started.world.settle(started.keys.claim("k", bytes("a")));
    const stored = await loseAnswer(started, () =>
      started.keys.store("k", 1, bytes("b"), { expectVersion: 1 }),
    );
    assert.equal(stored.version, 2);
    assert.deepEqual(started.coordinator.applied, ["claim k", "store k"]);
  });

  it("does not take somebody else's change for its own", async () => {
    const { world, keys } = start();
    await world.settle(keys.claim("k", bytes("a")));
    await assert.rejects(
      world.settle(keys.store("k", 1, bytes("b"), { expectVersion: 7 })),
      (error: HoldfastError) => error.code === ErrorCode.PRECONDITION_FAILED,
    );
    await assert.rejects(
      world.settle(keys.store("k", 9, bytes("b"))),
      (error: HoldfastError) => error.code === ErrorCode.STALE_EPOCH,
    );
  });

  it("counts a release as done when the key is gone and the answer was lost", async () => {
    const started = start();
    await started.world.settle(started.keys.claim("k", bytes("a")));
    await loseAnswer(started, () => started.keys.release("k", 1));
    assert.deepEqual(started.coordinator.applied, ["claim k", "release k"]);
  });

  it("keeps its node lease while a majority answers, counted from the send time, and no longer", async () => {
    const { world, network, keys, link } = start();
    await world.settle(keys.register());
    await world.until(() => keys.leaseLeftMs() > 0, 1_000);
    await world.pass(5_000);
    assert.ok(keys.leaseLeftMs() > 600 && keys.leaseLeftMs() <= 900, `${keys.leaseLeftMs()} ms left`);
    const down = (address: string) => {
      link(address).reachability = "refuse";
      network.cut(address);
    };
    down("n1:1");
    await world.pass(5_000);
    assert.ok(keys.leaseLeftMs() > 0, "two of three are enough");
    link("n2:1").reachability = "mute";
    await world.pass(1_100);
    assert.ok(keys.leaseLeftMs() <= 0, "one of three is not");
    link("n1:1").reachability = "up";
    await world.until(() => keys.leaseLeftMs() > 0, 2_000);
  });

  it("waits for a leader, and says unknown when the deadline comes first", async () => {
    const { world, coordinator, keys, link } = start();
    coordinator.refusals = 4;
    await world.settle(keys.claim("k", bytes("a")));
    for (const address of ["n1:1", "n2:1", "n3:1"]) link(address).reachability = "mute";
    await assert.rejects(
      world.settle(keys.store("k", 1, bytes("b"), { deadlineMs: 400 })),
      (error: HoldfastError) => error.code === ErrorCode.OUTCOME_UNKNOWN,
    );
  });
});
