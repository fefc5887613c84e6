import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Client,
  credentials,
  makeClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import {
  type Coordinator,
  coordinatorDefaults,
  coordinatorHandlers,
  createCoordinator,
  RemoteCoordinatorClient,
} from "../../src/coordinator/index.js";
import { createReplica, replicaDefaults } from "../../src/replica/index.js";
import type { Replica } from "../../src/replica/index.js";
import {
  memoryMeter,
  nullLog,
  Prng,
  realClock,
  realScheduler,
  type Runtime,
} from "../../src/runtime/index.js";
import { createStateMachine } from "../../src/state/index.js";
import { FOUNDED_AT, NodeStorage, openRocks } from "../../src/storage/index.js";
import type { Transport } from "../../src/transport/api.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { fromServiceError } from "../../src/wire/grpc-errors.js";
import { v1 } from "../../src/wire/index.js";
import { services } from "../../src/wire/services.js";
import { conf } from "../replica/cluster.js";
import { until } from "../until.js";

const runtime: Runtime = {
  clock: realClock,
  scheduler: realScheduler,
  random: Prng.fromSeed(1),
  log: nullLog,
  meter: memoryMeter(),
};

const alone: Transport = {
  setPeers() {},
  send() {},
  flush() {},
  sendSnapshot: () => Promise.resolve(false),
  close: () => Promise.resolve(),
};

type Stub = Client & {
  storeKey(
    request: v1.IStoreKey,
    done: (error: ServiceError | null, result?: v1.CommandResult) => void,
  ): void;
  getKey(
    request: v1.IGetKeyRequest,
    done: (error: ServiceError | null, result?: v1.CommandResult) => void,
  ): void;
  execute(
    request: v1.ICommand,
    metadata: Metadata,
    options: { deadline: number },
    done: (error: ServiceError | null, result?: v1.CommandResult) => void,
  ): void;
};

describe("coordinator over gRPC", () => {
  let folder = "";
  let replica: Replica;
  let coordinator: Coordinator;
  let server: Server;
  let address = "";
  let stub: Stub;
  let client: RemoteCoordinatorClient;

  const listen = async (port: number): Promise<void> => {
    server = new Server();
    server.addService(services.Coordinator, coordinatorHandlers(coordinator, realClock));
    const bound = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
        error ? reject(error) : resolve(at),
      ),
    );
    address = `127.0.0.1:${bound}`;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-coordinator-"));
    const storage = await NodeStorage.open(await openRocks(folder), runtime);
    await storage.initialise({ clusterId: "c", name: "n1", raftId: 1, incarnation: 1 }, conf(1), FOUNDED_AT);
    replica = await createReplica({
      runtime,
      storage,
      config: { ...replicaDefaults, raftId: 1, name: "n1", clusterId: "c", initialMembers: [], shares: [] },
      createTransport: () => alone,
      createStateMachine,
      diskLow: () => false,
      onFatal: (reason) => assert.fail(reason),
    });
    coordinator = createCoordinator({
      runtime,
      replica,
      // Nobody here sends heartbeats: the node must not be declared down while a loaded machine takes its time.
      config: { ...coordinatorDefaults, raftId: 1, name: "n1", clusterId: "c", leaseMs: 600_000 },
    });
    await until("the cluster is initialised", 15_000, () => replica.state.cluster().clusterId === "c");
    await listen(0);
    stub = new (makeClientConstructor(services.Coordinator, "Coordinator"))(
      address,
      credentials.createInsecure(),
    ) as unknown as Stub;
    client = new RemoteCoordinatorClient({
      runtime,
      addresses: () => [address],
      credentials: credentials.createInsecure(),
      callTimeoutMs: 5_000,
      silenceMs: 6_000,
    });
    const node = { name: "fs1", incarnation: 1, grpcAddress: "fs1:1" };
    assert.ok(!(await client.execute({ registerNode: { node } })).error);
  });

  after(async () => {
    client.close();
    stub.close();
    server.forceShutdown();
    coordinator.stop();
    await replica.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const mine = { node: "fs1", nodeIncarnation: 1 };

  it("claims, stores and reads a key by unary calls, and gives typed errors in the trailer", async () => {
    const claimed = await client.execute({ claimKey: { key: "a", ...mine, state: Buffer.from("0") } });
    const epoch = Number(claimed.key?.epoch);
    const call = <T>(run: (done: (error: ServiceError | null, result?: T) => void) => void) =>
      new Promise<T>((resolve, reject) =>
        run((error, result) => (error ? reject(fromServiceError(error)) : resolve(result as T))),
      );
    const stored = await call<v1.CommandResult>((done) =>
      stub.storeKey({ key: "a", ...mine, epoch, state: Buffer.from("1") }, done),
    );
    assert.ok(Number(stored.revision) > 0);
    const read = await call<v1.CommandResult>((done) => stub.getKey({ key: "a" }, done));
    assert.equal(Buffer.from(read.key?.state ?? []).toString(), "1");
    await assert.rejects(
      call((done) => stub.storeKey({ key: "a", ...mine, epoch: epoch + 5, state: Buffer.from("2") }, done)),
      {
        code: ErrorCode.STALE_EPOCH,
      },
    );
    await assert.rejects(
      call((done) => stub.getKey({ key: "nope" }, done)),
      { code: ErrorCode.UNKNOWN_KEY },
    );
    await assert.rejects(
      call((done) =>
        stub.execute({ advanceTime: {} }, new Metadata(), { deadline: Date.now() + 5_000 }, done),
      ),
      { code: ErrorCode.PERMISSION_DENIED },
    );
  });

  it("answers a thousand pipelined commands of one stream, each its own", async () => {
    const claimed = await client.execute({ claimKey: { key: "s", ...mine } });
    const epoch = Number(claimed.key?.epoch);
    const results = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) =>
        client.execute({ storeKey: { key: "s", ...mine, epoch, state: Buffer.from(String(i)) } }),
      ),
    );
    const revisions = results.map((r) => Number(r.revision));
    assert.ok(results.every((r) => !r.error));
    assert.deepEqual(
      revisions,
      [...revisions].sort((a, b) => a - b),
      "one stream is answered in order of its commands",
    );
    const answer = await client.query({ key: "s" });
    assert.equal(Buffer.from(answer.keys?.[0]?.state ?? []).toString(), "999");
  });

  it("asks again on a new stream when the server goes away and comes back, and watches on without a gap", async () => {
    const seen: number[] = [];
    let resyncs = 0;
    const end = client.watch("", {
      // One command may do several things: an event is named by its revision and its place there.
      onEvents: (events) =>
        void seen.push(...events.map((e) => Number(e.revision) * 1_000 + (e.ordinal ?? 0))),
      onResync: () => void resyncs++,
    });
    const register = (name: string) =>
      client.execute({ registerNode: { node: { name, incarnation: 1, grpcAddress: `${name}:1` } } });
    const expected: number[] = [];
    for (let i = 0; i < 6; i++) {
      if (i === 3) {
        const port = Number(address.split(":")[1]);
        server.forceShutdown();
        await listen(port);
      }
      const result = await register(`w${i}`);
      assert.ok(!result.error, String(result.error?.message));
      expected.push(Number(result.revision));
      if (i === 0) await until("the watch is there", 15_000, () => coordinator.hub.count === 1);
    }
    await until("all events came", 15_000, () =>
      expected.slice(1).every((revision) => seen.includes(revision * 1_000)),
    );
    assert.equal(resyncs, 0);
    assert.deepEqual(
      seen,
      [...new Set(seen)].sort((a, b) => a - b),
      "in order, none twice",
    );
    end();
  });

  it("fails typed when nobody answers: unknown if it was sent, no quorum if not", async () => {
    const nobody = new RemoteCoordinatorClient({
      runtime,
      addresses: () => ["127.0.0.1:1"],
      credentials: credentials.createInsecure(),
      callTimeoutMs: 200,
      silenceMs: 6_000,
    });
    const read = await nobody.query({ cluster: {} });
    assert.equal(read.error?.code, ErrorCode.NO_QUORUM);
    const written = await nobody.execute({ releaseKey: { key: "a", ...mine, epoch: 1 } });
    assert.ok(
      written.error?.code === ErrorCode.OUTCOME_UNKNOWN || written.error?.code === ErrorCode.NO_QUORUM,
      String(written.error?.code),
    );
    nobody.close();
  });

  it("ends a stream of garbage with a gRPC status and serves the next call", async () => {
    const raw = new Client(address, credentials.createInsecure());
    const code = await new Promise<number>((resolve) => {
      raw.makeUnaryRequest(
        "/holdfast.v1.Coordinator/Execute",
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]),
        (error) => resolve(error?.code ?? status.OK),
      );
    });
    raw.close();
    assert.notEqual(code, status.OK);
    assert.equal((await client.query({ cluster: {} })).cluster?.clusterId, "c");
  });
});
