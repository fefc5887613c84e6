import assert from "node:assert/strict";
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { access } from "../../src/filenode/access.js";
import { fileServiceHandlers } from "../../src/filenode/grpc-file-service.js";
import { FileServiceForwarder } from "../../src/filenode/grpc-forward.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { fromServiceError } from "../../src/wire/grpc-errors.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { services } from "../../src/wire/services.js";
import { guidOf, type TestNode, World } from "./world.js";

const GUID = new Uint8Array(16).fill(9);

/** A gRPC server in front of a node. */
async function serve(world: World, node: TestNode) {
  const runtime = world.time.runtime(99);
  const server = new Server({ "grpc.max_receive_message_length": limits.messageBytesMax });
  const forwarder = new FileServiceForwarder(node.name, credentials.createInsecure());
  const service = fileServiceHandlers({
    node: node.node,
    runtime,
    principalOf: (call) => String(call.metadata.get("user")[0] ?? "anonymous"),
    forwarder,
  });
  server.addService(services.FileService, service.handlers);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const address = `127.0.0.1:${port}`;
  const client = new Client(address, credentials.createInsecure());
  return {
    address,
    client,
    close: () => {
      service.close();
      client.close();
      forwarder.close();
      server.forceShutdown();
    },
  };
}

type Served = Awaited<ReturnType<typeof serve>>;

function unary<Reply>(
  served: Served,
  method: string,
  request: object,
  options: { user?: string; deadlineMs?: number } = {},
): Promise<Reply> {
  const definition = services.FileService[method];
  assert.ok(definition);
  const metadata = new Metadata();
  if (options.user !== undefined) metadata.set("user", options.user);
  return new Promise((resolve, reject) => {
    served.client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      metadata,
      options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs },
      (error: ServiceError | null, reply: unknown) =>
        error === null ? resolve(reply as Reply) : reject(error),
    );
  });
}

async function failsWith(code: ErrorCode, call: Promise<unknown>): Promise<v1.IErrorDetail> {
  try {
    await call;
  } catch (thrown) {
    const error = fromServiceError(thrown as ServiceError);
    assert.equal(ErrorCode[error.code], ErrorCode[code], error.message);
    return error.toDetail();
  }
  return assert.fail(`worked instead of ${ErrorCode[code]}`);
}

function stream(served: Served) {
  const definition = services.FileService["Session"];
  assert.ok(definition);
  const call = served.client.makeBidiStreamRequest<v1.IFileRequest, v1.IFileResponse>(
    definition.path,
    definition.requestSerialize,
    definition.responseDeserialize,
  );
  const waiting = new Map<number, (response: v1.IFileResponse) => void>();
  call.on("data", (response: v1.IFileResponse) => waiting.get(response.id ?? 0)?.(response));
  const ended = new Promise<number>((resolve) => call.on("status", ({ code }) => resolve(code)));
  call.on("error", () => {});
  const ask = (request: v1.IFileRequest) =>
    new Promise<v1.IFileResponse>((resolve) => {
      waiting.set(request.id ?? 0, resolve);
      call.write(request);
    });
  return { call, ask, ended };
}

const openRequest = (context: v1.ICallContext | null, path: string): v1.IOpenRequest => ({
  context,
  share: "demo",
  path,
  desiredAccess: access.readData | access.writeData,
  shareMode: { read: true, write: true },
  disposition: v1.Disposition.OPEN_IF,
  createGuid: guidOf(path),
  kind: v1.HandleKind.PERSISTENT,
});

describe("FileService over gRPC", () => {
  let world: World;
  let one: Served;
  let two: Served;
  let n1: TestNode;

  beforeEach(async () => {
    world = new World();
    world.init();
    n1 = await world.start("n1");
    const n2 = await world.start("n2");
    one = await serve(world, n1);
    two = await serve(world, n2);
    // Owners are reached under the address that the state knows.
    for (const [name, served] of [
      ["n1", one],
      ["n2", two],
    ] as const)
      world.coordinator.apply({
        registerNode: { node: { name, incarnation: 1, grpcAddress: served.address, shares: ["demo"] } },
      });
  });

  afterEach(() => {
    one.close();
    two.close();
  });

  it("serves a session on a stream", async () => {
    const { ask, call, ended } = stream(one);
    assert.equal((await ask({ id: 1, ping: {} })).error ?? null, null);
    assert.equal(
      (await ask({ id: 2, stat: { share: "demo", path: "" } })).error?.code,
      ErrorCode.UNAUTHENTICATED,
    );
    const attached = await ask({ id: 3, attach: { open: { clientGuid: GUID, protocolVersion: 1 } } });
    assert.ok(Number(attached.session?.sessionId) > 0);
    const opened = await ask({ id: 4, open: openRequest(null, "f") });
    const handle = opened.open?.handle ?? null;
    const data = new Uint8Array(100_000).fill(5);
    const writes = Array.from({ length: 20 }, (_, i) =>
      ask({ id: 10 + i, write: { handle, offset: i * data.length, data } }),
    );
    for (const response of await Promise.all(writes)) assert.equal(response.error ?? null, null);
    const read = await ask({ id: 40, read: { handle, offset: 1_999_990, length: 100 } });
    assert.deepEqual([read.read?.data?.length, read.read?.endOfFile], [10, true]);
    call.end();
    assert.equal(await ended, status.OK);
  });

  it("refuses a newer protocol than its own, and a second attach", async () => {
    const { ask, call } = stream(one);
    const newer = await ask({ id: 1, attach: { open: { clientGuid: GUID, protocolVersion: 2 } } });
    assert.equal(newer.error?.code, ErrorCode.UNSUPPORTED_VERSION);
    const short = await ask({
      id: 2,
      attach: { open: { clientGuid: new Uint8Array(3), protocolVersion: 1 } },
    });
    assert.equal(short.error?.code, ErrorCode.INVALID_ARGUMENT);
    await ask({ id: 3, attach: { open: { clientGuid: GUID, protocolVersion: 1 } } });
    const again = await ask({ id: 4, attach: { open: { clientGuid: GUID, protocolVersion: 1 } } });
    assert.equal(again.error?.code, ErrorCode.INVALID_ARGUMENT);
    call.cancel();
  });

  it("marks the session disconnected when its stream breaks", async () => {
    const { ask, call } = stream(one);
    const attached = await ask({ id: 1, attach: { open: { clientGuid: GUID, protocolVersion: 1 } } });
    const id = Number(attached.session?.sessionId);
    assert.equal(world.coordinator.state.session(id)?.connected, true);
    call.cancel();
    const deadline = Date.now() + 15_000;
    while (world.coordinator.state.session(id)?.connected) {
      assert.ok(Date.now() < deadline, "still connected");
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  it("serves thin clients with single calls, each of which proves its right", async () => {
    const info = await unary<v1.ISessionInfo>(one, "OpenSession", { clientGuid: GUID, protocolVersion: 1 });
    const context: v1.ICallContext = {
      sessionId: info.sessionId ?? 0,
      clientGuid: GUID,
      resumeToken: info.resumeToken ?? null,
      protocolVersion: 1,
    };
    const open = await unary<v1.IOpenReply>(one, "Open", openRequest(context, "f"));
    const handle = open.handle ?? null;
    const written = await unary<v1.IWriteReply>(one, "Write", {
      context,
      handle,
      offset: 0,
      data: Buffer.from("hi"),
    });
    assert.equal(written.written, 2);
    const read = await unary<v1.IReadReply>(one, "Read", { context, handle, offset: 0, length: 10 });
    assert.equal(Buffer.from(read.data ?? []).toString(), "hi");
    const listed = await unary<v1.IListReply>(one, "List", { context, share: "demo" });
    assert.equal(listed.entries?.[0]?.name, "f");
    const called = await unary<v1.IFileResponse>(one, "Call", {
      context,
      stat: { share: "demo", path: "f" },
    });
    assert.equal(called.stat?.info?.size, 2);
    assert.equal(open.createAction, v1.CreateAction.CREATED);
    await unary(one, "ResumeSession", { context });
    const again = await unary<v1.IOpenReply>(one, "Reconnect", {
      context,
      handleId: handle?.persistent ?? null,
      createGuid: guidOf("f"),
      persistent: true,
    });
    assert.equal(again.createAction, v1.CreateAction.OPENED, "taken up, not created");

    await failsWith(
      ErrorCode.UNAUTHENTICATED,
      unary(one, "Stat", { context: { sessionId: info.sessionId }, share: "demo" }),
    );
    await failsWith(ErrorCode.INVALID_ARGUMENT, unary(one, "Stat", { share: "demo", path: "f" }));
    await failsWith(
      ErrorCode.UNSUPPORTED_VERSION,
      unary(one, "Stat", { context: { ...context, protocolVersion: 2 }, share: "demo", path: "f" }),
    );
    const wrong = { ...context, resumeToken: new Uint8Array(16) };
    await failsWith(
      ErrorCode.PERMISSION_DENIED,
      unary(one, "Stat", { context: wrong, share: "demo", path: "f" }),
    );
    await failsWith(
      ErrorCode.PERMISSION_DENIED,
      unary(one, "Stat", { context, share: "demo", path: "f" }, { user: "mallory" }),
    );
    const missing = await failsWith(
      ErrorCode.OBJECT_NAME_NOT_FOUND,
      unary(one, "Stat", { context, share: "demo", path: "nothing" }),
    );
    assert.equal(missing.node, "n1");
  });

  it("passes a call on to the owner, or says where it is", async () => {
    const info = await unary<v1.ISessionInfo>(one, "OpenSession", { clientGuid: GUID, protocolVersion: 1 });
    const context: v1.ICallContext = {
      sessionId: info.sessionId ?? 0,
      clientGuid: GUID,
      resumeToken: info.resumeToken ?? null,
      protocolVersion: 1,
    };
    const open = await unary<v1.IOpenReply>(two, "Open", openRequest(context, "f"));
    assert.ok(open.handle);
    assert.equal(world.coordinator.state.session(Number(info.sessionId))?.owner, "n1");
    const detail = await failsWith(
      ErrorCode.NOT_OWNER,
      unary(two, "Stat", { context: { ...context, redirect: true }, share: "demo", path: "f" }),
    );
    assert.equal(detail.owner?.grpcAddress, one.address);
    await failsWith(
      ErrorCode.OBJECT_NAME_NOT_FOUND,
      unary(two, "Stat", { context, share: "demo", path: "nothing" }),
    );
  });

  it("takes thin clients' sessions over when the owner is dead", async () => {
    const info = await unary<v1.ISessionInfo>(one, "OpenSession", { clientGuid: GUID, protocolVersion: 1 });
    const context: v1.ICallContext = {
      sessionId: info.sessionId ?? 0,
      clientGuid: GUID,
      resumeToken: info.resumeToken ?? null,
      protocolVersion: 1,
    };
    const open = await unary<v1.IOpenReply>(one, "Open", openRequest(context, "f"));
    world.kill(n1);
    await failsWith(
      ErrorCode.FILE_CLOSED,
      unary(two, "Read", { context, handle: open.handle, offset: 0, length: 1 }),
    );
    const again = await unary<v1.IOpenReply>(two, "Reconnect", {
      context,
      handleId: open.handle?.persistent ?? null,
      createGuid: guidOf("f"),
      persistent: true,
    });
    await unary(two, "Read", { context, handle: again.handle, offset: 0, length: 1 });
  });

  it("survives bytes that are no message", async () => {
    const raw = (path: string) =>
      new Promise<number>((resolve) => {
        one.client.makeUnaryRequest(
          path,
          () => Buffer.from([0xff, 0xff, 0xff, 0xff, 0x00]),
          (bytes) => bytes,
          {},
          (error: ServiceError | null) => resolve(error?.code ?? 0),
        );
      });
    assert.notEqual(await raw("/holdfast.v1.FileService/Open"), status.OK);
    const { ask, call } = stream(one);
    assert.equal((await ask({ id: 1, ping: {} })).error ?? null, null);
    call.cancel();
  });

  it("does not read on from a client that does not read", async () => {
    const { ask, call } = stream(one);
    await ask({ id: 1, attach: { open: { clientGuid: GUID, protocolVersion: 1 } } });
    const opened = await ask({ id: 2, open: openRequest(null, "f") });
    const handle = opened.open?.handle ?? null;
    await ask({ id: 3, write: { handle, offset: 0, data: new Uint8Array(limits.chunkBytesMax) } });
    call.pause();
    let most = 0;
    for (let i = 0; i < 2000; i++)
      call.write({ id: 100 + i, read: { handle, offset: 0, length: limits.chunkBytesMax } });
    for (let i = 0; i < 300; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, process.memoryUsage().arrayBuffers + process.memoryUsage().external);
    }
    assert.ok(
      most < 400 * 1024 * 1024,
      `${Math.round(most / 1048576)} MB were held for a client that does not read`,
    );
    call.cancel();
  });

  it("takes the deadline of a call for its own", async () => {
    const info = await unary<v1.ISessionInfo>(one, "OpenSession", { clientGuid: GUID, protocolVersion: 1 });
    const context: v1.ICallContext = {
      sessionId: info.sessionId ?? 0,
      clientGuid: GUID,
      resumeToken: info.resumeToken ?? null,
      protocolVersion: 1,
    };
    const open = await unary<v1.IOpenReply>(one, "Open", openRequest(context, "f"));
    const elements = [{ offset: 0, length: 1, exclusive: true }];
    await unary(one, "Lock", { context, handle: open.handle, elements });
    await failsWith(
      ErrorCode.DEADLINE_EXCEEDED,
      unary(one, "Lock", { context, handle: open.handle, elements }, { deadlineMs: 200 }),
    );
    const deadline = Date.now() + 15_000;
    while ([...world.coordinator.state.pending()].length > 0) {
      assert.ok(Date.now() < deadline, "the lock call is still parked");
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});
