import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from "node:http2";
import { Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import { askAny, askInTurn } from "../../src/cli/admin-client.js";
import { exitCodeOf } from "../../src/cli/exit-codes.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { toServiceError } from "../../src/wire/grpc-errors.js";
import { services } from "../../src/wire/services.js";

const MS = 300;

async function errorOf(asked: Promise<unknown>): Promise<HoldfastError> {
  return asked.then(
    () => assert.fail("it was answered"),
    (error: unknown) => error as HoldfastError,
  );
}

describe("a write that nobody answers", () => {
  let silent: Http2Server;
  let deaf: Server;
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();

  before(async () => {
    // Takes calls like a node that is stopped just then, and answers none.
    silent = createHttp2Server();
    silent.on("session", (session) => sessions.add(session));
    silent.on("stream", (stream) => stream.on("error", () => undefined));
    // Takes connections, and is no node at all.
    deaf = createServer((socket) => {
      sockets.add(socket.on("error", () => undefined).resume());
    });
    for (const server of [silent, deaf]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
  });
  after(() => {
    for (const each of [...sessions, ...sockets]) each.destroy();
    silent.close();
    deaf.close();
  });

  const at = (server: Http2Server | Server) => `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const request = { node: "n1", cordoned: true };

  it("has an unknown outcome, exit code 7, and says where to look", async () => {
    const error = await errorOf(askInTurn([at(silent)], "ScheduleNode", request, MS));
    assert.equal(error.code, ErrorCode.OUTCOME_UNKNOWN, error.message);
    assert.equal(exitCodeOf(error), 7);
    assert.ok(error.message.includes(at(silent)), error.message);
    assert.match(error.extras.next ?? "", /^holdfast nodes/);
  });

  it("is not asked of another node", async () => {
    const calls: string[] = [];
    const other = createHttp2Server((incoming) => calls.push(incoming.url));
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    try {
      const error = await errorOf(askInTurn([at(silent), at(other)], "ScheduleNode", request, MS));
      assert.equal(error.code, ErrorCode.OUTCOME_UNKNOWN, error.message);
      assert.deepEqual(calls, []);
    } finally {
      other.close();
    }
  });

  it("has one too where the connection breaks before the answer", async () => {
    const cut = createHttp2Server();
    cut.on("session", (session) => session.on("error", () => undefined));
    cut.on("stream", (stream) => stream.on("error", () => undefined).session?.destroy());
    cut.listen(0, "127.0.0.1");
    await once(cut, "listening");
    const calls: string[] = [];
    const other = createHttp2Server((incoming) => calls.push(incoming.url));
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    try {
      const error = await errorOf(askInTurn([at(cut), at(other)], "ScheduleNode", request, MS));
      assert.equal(error.code, ErrorCode.OUTCOME_UNKNOWN, error.message);
      assert.deepEqual(calls, []);
    } finally {
      cut.close();
      other.close();
    }
  });

  it("has one too where it carries an id and was asked of every node", async () => {
    const error = await errorOf(
      askInTurn([at(silent), at(silent)], "Transfer", { operationId: "x" }, MS, 50),
    );
    assert.equal(error.code, ErrorCode.OUTCOME_UNKNOWN, error.message);
    assert.match(error.extras.next ?? "", /^holdfast ops list/);
  });

  it("was not done where nobody listens: not ready, exit code 4", async () => {
    const gone = createHttp2Server();
    gone.listen(0, "127.0.0.1");
    await once(gone, "listening");
    const address = at(gone);
    gone.close();
    await once(gone, "close");
    const error = await errorOf(askInTurn([address, address], "ScheduleNode", request, MS));
    assert.equal(error.code, ErrorCode.NOT_READY, error.message);
    assert.match(error.message, /connection refused/);
    assert.equal(exitCodeOf(error), 4);
  });

  it("was not done where it was never sent: timed out, exit code 124", async () => {
    const error = await errorOf(askInTurn([at(deaf)], "ScheduleNode", request, MS));
    assert.equal(error.code, ErrorCode.DEADLINE_EXCEEDED, error.message);
    assert.equal(exitCodeOf(error), 124);
  });

  it("is another matter than a question that nobody answers: timed out", async () => {
    const error = await errorOf(askAny([at(silent)], "ListNodes", {}, MS));
    assert.equal(error.code, ErrorCode.DEADLINE_EXCEEDED, error.message);
  });
});

describe("a write that one node alone can do", () => {
  const servers: GrpcServer[] = [];
  after(() => servers.forEach((server) => server.forceShutdown()));

  /** A node that answers changes of members with `error`, or with a list of one. */
  async function node(error: (() => HoldfastError) | null): Promise<{ address: string; asked(): number }> {
    const server = new GrpcServer();
    servers.push(server);
    let asked = 0;
    const handlers: Record<string, unknown> = {};
    for (const method of Object.keys(services.Admin)) handlers[method] = () => assert.fail(method);
    handlers["ChangeMembers"] = (_call: unknown, reply: (error: unknown, value?: object) => void) => {
      asked += 1;
      if (error === null) reply(null, { members: [{ raftId: 1, name: "n1" }] });
      else reply(toServiceError(error()));
    };
    server.addService(services.Admin, handlers as never);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (failed, bound) =>
        failed ? reject(failed) : resolve(bound),
      ),
    );
    return { address: `127.0.0.1:${port}`, asked: () => asked };
  }

  const elsewhere = (grpcAddress: string) => () =>
    new HoldfastError(ErrorCode.NOT_LEADER, "n1 leads", { leader: { node: "n1", grpcAddress } });
  const ask = (endpoints: readonly string[], timeoutMs = 20_000) =>
    askInTurn(endpoints, "ChangeMembers", { action: "remove" }, timeoutMs);

  it("finds it through any other, whether it was named or not", async () => {
    const leader = await node(null);
    const follower = await node(elsewhere(leader.address));
    assert.equal((await ask([follower.address])).members?.[0]?.name, "n1");
    const other = await node(elsewhere(leader.address));
    assert.equal((await ask([follower.address, other.address, leader.address])).members?.[0]?.name, "n1");
    assert.equal(other.asked(), 0, "who leads is asked next");
  });

  it("ends when they name each other", async () => {
    const known = { address: "" };
    const one = await node(() => elsewhere(known.address)());
    const two = await node(elsewhere(one.address));
    known.address = two.address;
    const error = await errorOf(ask([one.address]));
    assert.equal(error.code, ErrorCode.NOT_LEADER, error.message);
    assert.deepEqual([one.asked(), two.asked()], [1, 1]);
    assert.equal(error.extras.next, "holdfast status");
  });

  it("is not kept waiting by a process that is stopped and has its connections accepted", async () => {
    const sockets: Socket[] = [];
    const stopped = createServer((socket) => sockets.push(socket.on("error", () => undefined).pause()));
    stopped.listen(0, "127.0.0.1");
    await once(stopped, "listening");
    try {
      const leader = await node(null);
      const { port } = stopped.address() as AddressInfo;
      assert.equal((await ask([`127.0.0.1:${port}`, leader.address])).members?.[0]?.name, "n1");
    } finally {
      for (const socket of sockets) socket.destroy();
      stopped.close();
    }
  });
});
