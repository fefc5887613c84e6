import assert from "node:assert/strict";
import { connect as dial, type ClientHttp2Session } from "node:http2";
import { createRequire } from "node:module";
import { connect as connectTcp } from "node:net";
import { dirname, join } from "node:path";
import {
  Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import { connect, type Handle, type Session } from "../../src/client/index.js";
import { Prng } from "../../src/runtime/index.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { ERROR_DETAIL_TRAILER, fromServiceError } from "../../src/wire/grpc-errors.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { services } from "../../src/wire/services.js";
import { TestCluster, until } from "./cluster.js";

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

const RANDOM_PER_METHOD = 12;
/** Of a call that may end by its deadline: a stream that is taken, and says nothing. */
const CALL_MS = 1_500;
/** Of a call whose answer is what is looked at: a mere bound. */
const ANSWER_MS = 60_000;

/** Every method of every service, the peer port's included. */
const methods = Object.values(services).flatMap((service) => Object.values(service));

describe(`garbage at every RPC (SEED=${seed})`, function () {
  this.timeout(300_000);
  const random = Prng.fromSeed(seed);
  let cluster: TestCluster;
  let session: Session;
  let client: Client;
  let handle: Handle;
  let handlesBefore: string;

  /** Everything about the bystander's handle but its age, and what a failover changes: any stall may bring one about. */
  const handles = async () => {
    const rows = await cluster.items("handles", "--session", String(session.id));
    const moved = { openedForMs: 0, owner: "", epoch: 0, changedRevision: 0 };
    return JSON.stringify(rows.map((row) => ({ ...row, ...moved })));
  };

  before(async () => {
    cluster = await TestCluster.start();
    session = await connect({
      nodes: cluster.nodes.map((node) => node.grpc),
      clientName: "bystander",
      deadlineMs: 60_000,
    });
    handle = await session.open("demo:/safe.txt", { disposition: "create" });
    await handle.write(0, Buffer.from("safe"));
    await handle.lock({ offset: 0, length: 4 });
    handlesBefore = await handles();
    client = new Client(cluster.node("n1").grpc, credentials.createInsecure(), {
      "grpc.max_send_message_length": -1,
      "grpc.max_receive_message_length": -1,
    });
  });
  after(async () => {
    client?.close();
    await session?.close();
    await cluster?.destroy();
  });

  /** Sends raw bytes as the one request of a method; answers how it ended: an error, or "answered". */
  function send(
    path: string,
    streams: boolean,
    bytes: Buffer,
    deadlineMs = CALL_MS,
  ): Promise<ServiceError | "answered"> {
    const identity = (value: Buffer) => value;
    const options = { deadline: Date.now() + deadlineMs };
    return new Promise((resolve) => {
      if (!streams) {
        client.makeUnaryRequest(path, identity, identity, bytes, new Metadata(), options, (error) =>
          resolve(error ?? "answered"),
        );
        return;
      }
      const call = client.makeBidiStreamRequest(path, identity, identity, new Metadata(), options);
      let answered = false;
      call.on("data", () => {
        answered = true;
        call.cancel();
      });
      call.on("error", (error: ServiceError) => resolve(answered ? "answered" : error));
      call.on("end", () => resolve("answered"));
      call.write(bytes);
      call.end();
    });
  }

  /** Whatever a node refuses, it says so in our own words too; a deadline that passes here is grpc-js's to tell. */
  const isTyped = (path: string, result: ServiceError | "answered") => {
    if (result === "answered" || /^Deadline exceeded after/.test(result.details)) return;
    const detail = result.metadata?.get(ERROR_DETAIL_TRAILER)[0];
    assert.ok(detail instanceof Uint8Array, `${path}: ${result.code} ${result.details}`);
    assert.notEqual(v1.ErrorDetail.decode(detail).message, "", path);
  };

  const isStream = (method: { requestStream: boolean; responseStream: boolean }) =>
    method.requestStream || method.responseStream;

  it("takes random bytes on each method of each service", async () => {
    for (const method of methods) {
      const sizes = Array.from({ length: RANDOM_PER_METHOD }, () => random.below(400));
      const results = await Promise.all(
        sizes.map((size) => send(method.path, isStream(method), Buffer.from(random.bytes(size)))),
      );
      for (const result of results) isTyped(method.path, result);
    }
  });

  it("names what is no message of its type", async () => {
    // Field 1, length-delimited, longer than what follows.
    const cut = Buffer.from([0x0a, 0x7f, 0x01]);
    for (const path of [
      "/holdfast.v1.Admin/ListNodes",
      "/holdfast.v1.Coordinator/Execute",
      "/holdfast.v1.FileService/Open",
    ]) {
      const result = await send(path, false, cut, ANSWER_MS);
      assert.notEqual(result, "answered", path);
      const error = fromServiceError(result as ServiceError);
      assert.equal(error.codeName, "INVALID_ARGUMENT", path);
      assert.match(error.message, /is not a message of its type/);
    }
  });

  it("refuses a message above the limit on each method", async () => {
    const tooLarge = Buffer.alloc(limits.messageBytesMax + 1);
    for (const method of methods) {
      const result = await send(method.path, isStream(method), tooLarge, ANSWER_MS);
      assert.notEqual(result, "answered", method.path);
      assert.equal((result as ServiceError).code, 8, `${method.path}: ${(result as ServiceError).details}`);
      assert.equal(fromServiceError(result as ServiceError).code, ErrorCode.LIMIT_EXCEEDED, method.path);
    }
  });

  it("refuses methods that do not exist", async () => {
    for (const path of ["/holdfast.v1.Admin/Explode", "/holdfast.v1.Nobody/Open"]) {
      const result = await send(path, false, Buffer.alloc(0), ANSWER_MS);
      assert.notEqual(result, "answered", path);
      assert.equal(fromServiceError(result as ServiceError).code, ErrorCode.NOT_SUPPORTED, path);
    }
  });

  it("takes commands whose every field is at an extreme, and keeps its state", async () => {
    const huge = 2 ** 53 - 1;
    const bytes = Buffer.from(random.bytes(16));
    const fence = { sessionId: huge, epoch: huge, node: "nobody", nodeIncarnation: huge };
    const commands: v1.ICommand[] = [
      {},
      { batch: { commands: [{}, { batch: { commands: [] } }] } },
      { closeSession: { fence } },
      { openHandle: { fence, path: "../../etc/passwd", share: "demo", handleId: bytes } },
      { lock: { fence, handleId: bytes, elements: [{ offset: 1, length: 0 }] } },
      { storeKey: { key: "", node: "n1", nodeIncarnation: 1, epoch: huge, state: bytes } },
      { claimKey: { key: "k".repeat(limits.keyBytesMax + 1), node: "n1", nodeIncarnation: 1 } },
      { nodeDown: { node: "n1", incarnation: 1, cause: "malice" } },
      { initCluster: { clusterId: "mine" } },
      { forceClose: { handleId: bytes } },
      { setMember: { member: { raftId: 9 } } },
    ];
    for (const command of commands) {
      const result = await send(
        "/holdfast.v1.Coordinator/Execute",
        false,
        Buffer.from(v1.Command.encode(command).finish()),
        ANSWER_MS,
      );
      assert.notEqual(result, "answered", JSON.stringify(command));
      const error = fromServiceError(result as ServiceError);
      assert.notEqual(error.code, ErrorCode.INTERNAL, `${JSON.stringify(command)}: ${error.message}`);
      assert.notEqual(error.message, "");
    }
  });

  it("refuses peers of another cluster, from the future and from nowhere", async () => {
    const hello = {
      protocolVersion: 1,
      clusterId: "local",
      from: 2,
      fromIncarnation: 1,
      to: 1,
      fromName: "n2",
    };
    const wrong: v1.IPeerHello[] = [
      { ...hello, clusterId: "another" },
      { ...hello, protocolVersion: 999 },
      { ...hello, from: 77 },
      { ...hello, to: 3 },
      { ...hello, fromIncarnation: 0 },
      {},
    ];
    for (const each of wrong) {
      const frame = Buffer.from(v1.PeerFrame.encode({ hello: each }).finish());
      const result = await send("/holdfast.v1.Peer/Link", true, frame, ANSWER_MS);
      assert.notEqual(result, "answered", JSON.stringify(each));
      assert.notEqual((result as ServiceError).code, status.DEADLINE_EXCEEDED, JSON.stringify(each));
    }
  });

  it("refuses a client with a future protocol version", async () => {
    const request = v1.OpenSessionRequest.encode({
      clientGuid: random.bytes(16),
      protocolVersion: 999,
    }).finish();
    const result = await send("/holdfast.v1.FileService/OpenSession", false, Buffer.from(request), ANSWER_MS);
    assert.equal(fromServiceError(result as ServiceError).codeName, "UNSUPPORTED_VERSION");
  });

  it("gives up calls whose deadline has passed", async () => {
    const result = await send("/holdfast.v1.Admin/ListNodes", false, Buffer.alloc(0), -1);
    assert.equal((result as ServiceError).code, 4);
  });

  it("survives malformed HTTP/2, half-open connections and calls that are cut off", async () => {
    const [host, port] = cluster.node("n1").grpc.split(":");
    for (let i = 0; i < 10; i++) {
      await new Promise<void>((resolve) => {
        const socket = connectTcp(Number(port), host);
        socket.on("error", () => resolve());
        socket.on("close", () => resolve());
        // A server may wait for the rest of a preface; this client does not.
        socket.setTimeout(500, () => socket.destroy());
        socket.on("connect", () => {
          socket.write(
            Buffer.concat([
              Buffer.from(i % 2 === 0 ? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" : ""),
              Buffer.from(random.bytes(300)),
            ]),
          );
          socket.end();
        });
      });
    }
    const http2: ClientHttp2Session = dial(`http://${cluster.node("n1").grpc}`);
    http2.on("error", () => undefined);
    const paths = methods.map((method) => method.path);
    await Promise.all(
      paths.map(
        (path) =>
          new Promise<void>((resolve) => {
            const stream = http2.request({
              ":method": "POST",
              ":path": path,
              "content-type": "application/grpc",
              te: "trailers",
            });
            stream.on("error", () => undefined);
            stream.on("close", () => resolve());
            stream.setTimeout(1_000, () => stream.destroy());
            // A frame that announces more than it brings, then the end.
            stream.write(Buffer.from([0, 0, 0, 1, 0, 1, 2, 3]));
            setImmediate(() => stream.close(8));
          }),
      ),
    );
    http2.destroy();
  });

  it("is healthy afterwards: same processes, same handles, no session left, files as they were", async () => {
    await until("all nodes are well", 60_000, async () => (await cluster.cli("status")).code === 0);
    for (const { name } of cluster.nodes) assert.ok(cluster.isRunning(name), name);
    assert.equal(await handles(), handlesBefore);
    assert.equal(Buffer.from(await handle.read(0, 100)).toString(), "safe");
    const sessions = await cluster.items<{ client: string }>("sessions");
    assert.deepEqual(
      sessions.map((each) => each.client),
      ["bystander"],
    );
  });
});

/** As grpc's own contract says; it comes with the package that serves it. */
const REFLECTION_PROTO = join(
  dirname(createRequire(import.meta.url).resolve("@grpc/reflection/package.json")),
  "build/proto/grpc/reflection/v1/reflection.proto",
);

/** A FileDescriptorSet: field 1, repeated. */
function descriptorSet(files: readonly Buffer[]): Buffer {
  return Buffer.concat(files.flatMap((file) => [Buffer.from([0x0a, ...varint(file.length)]), file]));
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

describe("reflection and health", function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  before(async () => {
    cluster = await TestCluster.start(1);
  });
  after(() => cluster?.destroy());

  const call = (path: string, stream: boolean, bytes: Buffer): Promise<Buffer> => {
    const client = new Client(cluster.node("n1").grpc, credentials.createInsecure());
    const identity = (value: Buffer) => value;
    return new Promise<Buffer>((resolve, reject) => {
      if (!stream) {
        client.makeUnaryRequest(path, identity, identity, bytes, (error, answer) =>
          error === null ? resolve(answer as Buffer) : reject(error),
        );
        return;
      }
      const duplex = client.makeBidiStreamRequest(path, identity, identity);
      duplex.on("data", (answer: Buffer) => {
        resolve(answer);
        duplex.end();
      });
      duplex.on("error", reject);
      duplex.write(bytes);
    }).finally(() => client.close());
  };

  it("lists every service by reflection, old form and new", async () => {
    // list_services = 7 with a star.
    const request = Buffer.from([0x3a, 0x01, 0x2a]);
    for (const version of ["v1", "v1alpha"]) {
      const answer = (
        await call(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, true, request)
      ).toString("latin1");
      for (const name of Object.keys(services))
        assert.ok(answer.includes(`holdfast.v1.${name}`), `${version}: ${name}`);
    }
  });

  it("lets a client that has nothing but reflection call, under the names of proto/", async () => {
    // file_containing_symbol = 4.
    const symbol = Buffer.from("holdfast.v1.FileService");
    const request = Buffer.concat([Buffer.from([0x22, symbol.length]), symbol]);
    const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const reflection = loadSync(REFLECTION_PROTO)["grpc.reflection.v1.ServerReflectionResponse"];
    const response = (reflection as MessageTypeDefinition<object, object>).deserialize(
      await call(path, true, request),
    );
    const { fileDescriptorProto } = (
      response as { fileDescriptorResponse: { fileDescriptorProto: Buffer[] } }
    ).fileDescriptorResponse;
    const contracts = loadPackageDefinition(
      loadFileDescriptorSetFromBuffer(descriptorSet(fileDescriptorProto), { keepCase: true, longs: Number }),
    ) as unknown as { holdfast: { v1: { FileService: ServiceClientConstructor } } };
    const address = cluster.node("n1").grpc;
    const client = new contracts.holdfast.v1.FileService(address, credentials.createInsecure());
    const once = (method: string, message: object): Promise<Record<string, unknown>> =>
      new Promise((resolve, reject) =>
        client[method]?.(message, (error: ServiceError | null, answer: Record<string, unknown>) =>
          error === null ? resolve(answer) : reject(error),
        ),
      );
    // A node that is short of processor time has no lease now and then, and says so: a client asks again.
    const ask = (method: string, message: object) =>
      until(`${method} is answered`, 60_000, () => once(method, message));
    try {
      const client_guid = Buffer.alloc(16, 5);
      const info = await ask("OpenSession", { client_guid, protocol_version: 1 });
      const { session_id, resume_token } = info;
      const context = { session_id, resume_token, client_guid, protocol_version: 1 };
      assert.deepEqual((await ask("List", { context, share: "demo" }))["entries"] ?? [], []);
      await ask("CloseSession", { context });
    } finally {
      // Its own close is the RPC of that name.
      Client.prototype.close.call(client);
    }
  });

  it("says SERVING for the node and for each service once it is ready", async () => {
    for (const name of ["", ...Object.keys(services).map((each) => `holdfast.v1.${each}`)]) {
      const request =
        name === "" ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)]);
      await until(`${name || "the node"} is SERVING`, 60_000, async () =>
        (await call("/grpc.health.v1.Health/Check", false, request)).equals(Buffer.from([0x08, 0x01])),
      );
    }
  });
});
