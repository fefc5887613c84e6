import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { Prng } from "../../src/runtime/index.js";
import type { v1 } from "../../src/wire/index.js";
import { callRaw, framed } from "./raw-calls.js";
import { commitsOf, freePort, heartbeat, startNode, until, type Node, type NodeSetup } from "./fixtures.js";

const SEED = Number(process.env["SEED"] ?? 7);

describe("peer links", () => {
  const nodes: Node[] = [];
  const start = async (raftId: number, setup?: NodeSetup) => {
    const node = await startNode(raftId, setup);
    nodes.push(node);
    return node;
  };
  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.stop();
  });

  async function pair(first: NodeSetup = {}, second: NodeSetup = {}): Promise<[Node, Node]> {
    const [a, b] = [await start(1, first), await start(2, second)];
    a.transport.setPeers([a.target, b.target]);
    b.transport.setPeers([a.target, b.target]);
    return [a, b];
  }

  async function joined(): Promise<[Node, Node]> {
    const [a, b] = await pair();
    await until("both links up", () => a.connected.includes(2) && b.connected.includes(1));
    return [a, b];
  }

  it("carry frames in order, both ways", async () => {
    const [a, b] = await joined();
    for (let i = 1; i <= 500; i++) {
      a.transport.send(2, heartbeat(1, 2, i));
      if (i % 7 === 0) a.transport.flush();
      b.transport.send(1, heartbeat(2, 1, i));
    }
    await until("all frames", () => commitsOf(a).length === 500 && commitsOf(b).length === 500);
    const expected = Array.from({ length: 500 }, (_, i) => i + 1);
    assert.deepEqual(commitsOf(b), expected);
    assert.deepEqual(commitsOf(a), expected);
    assert(b.received.every(({ from }) => from === 1));
  });

  it("send the core messages of a turn as one frame, others in their place between", async () => {
    const [a, b] = await joined();
    for (let i = 1; i <= 20; i++) a.transport.send(2, heartbeat(1, 2, i));
    a.transport.send(2, { leaseRevoked: { node: "n3", incarnation: 4, silentMs: 5 } });
    a.transport.send(2, heartbeat(1, 2, 21));
    a.transport.flush();
    await until("all frames", () => b.received.length === 3);
    assert.deepEqual(
      b.received.map(({ frame }) => frame.raft?.messages?.length ?? frame.leaseRevoked?.node),
      [20, "n3", 1],
    );
  });

  it("split what is larger than a frame", async () => {
    const [a, b] = await joined();
    const data = Buffer.alloc(4000, 1);
    const message = { kind: 0, from: 1, to: 2, term: 1, logTerm: 0, index: 0 };
    for (let i = 0; i < 10; i++)
      a.transport.send(2, {
        raft: { messages: [{ ...message, index: i, entries: [{ index: i + 1, term: 1, data }] }] },
      });
    a.transport.flush();
    await until("all messages", () => commitsOf(b).length === 10);
    assert.deepEqual(
      b.received.map(({ frame }) => frame.raft?.messages?.length),
      [4, 4, 2],
    );
  });

  it("leave by themselves when nobody flushes", async () => {
    const [a, b] = await joined();
    a.transport.send(2, heartbeat(1, 2, 1));
    await until("the frame", () => commitsOf(b).length === 1);
  });

  it("come back within the backoff after the peer restarts, and tell when it goes", async () => {
    const [a, b] = await joined();
    const { port } = b;
    await b.stop();
    await until("the break is noticed", () => a.disconnected.length === 1);
    assert.equal(a.disconnected[0]?.peer, 2);
    a.transport.send(2, heartbeat(1, 2, 99));
    assert.equal(a.meter.counter("peer_frames_dropped", { peer: "n2" }), 1);
    const again = await start(2, { port });
    again.transport.setPeers([a.target]);
    await until("the link is up again", () => a.connected.length === 2);
    a.transport.send(2, heartbeat(1, 2, 100));
    await until("a frame", () => commitsOf(again).length === 1);
    assert.deepEqual(commitsOf(again), [100]);
  });

  it("say their last words before they close", async () => {
    const [a, b] = await joined();
    for (let i = 1; i <= 50; i++) a.transport.send(2, heartbeat(1, 2, i));
    await a.stop();
    await until("the last words", () => commitsOf(b).length === 50);
  });

  it("are dialled until the peer is there", async () => {
    const port = await freePort();
    const a = await start(1);
    a.transport.setPeers([{ raftId: 2, address: `127.0.0.1:${port}`, name: "n2" }]);
    await until("a failed dial", () => a.log.lines.some((line) => line.message === "peer link is down"));
    await start(2, { port });
    await until("the link", () => a.connected.includes(2));
  });

  it("give up on a peer that accepts and never answers, and go on trying", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const a = await start(1, { options: { handshakeTimeoutMs: 100 } });
    a.transport.setPeers([{ raftId: 2, address: `127.0.0.1:${port}`, name: "n2" }]);
    await until("a second dial", () => sockets.length >= 2);
    assert(a.log.lines.some((line) => /no answer within 100 ms/.test(JSON.stringify(line.fields))));
    assert.equal(a.connected.length, 0);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });

  it("notice a peer that stops answering on a link that is up", async () => {
    const b = await start(2);
    // A relay that at some point forwards nothing any more, as a stopped process or a pulled cable does.
    let frozen = false;
    const sockets: Socket[] = [];
    const relay = createServer((near) => {
      const far = connect(b.port, "127.0.0.1");
      sockets.push(near, far);
      near.on("data", (bytes) => void (frozen || far.write(bytes)));
      far.on("data", (bytes) => void (frozen || near.write(bytes)));
      for (const socket of [near, far]) socket.on("error", () => socket.destroy());
    });
    await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
    const { port } = relay.address() as AddressInfo;
    const a = await start(1, { options: { keepaliveMs: 100, keepaliveTimeoutMs: 100 } });
    a.transport.setPeers([{ raftId: 2, address: `127.0.0.1:${port}`, name: "n2" }]);
    await until("the link", () => a.connected.length === 1);
    frozen = true;
    await until("the break", () => a.disconnected.length === 1);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => relay.close(resolve));
  });

  it("hang up on who is no longer a peer", async () => {
    const [a, b] = await joined();
    a.transport.setPeers([]);
    assert.deepEqual(a.disconnected, [{ peer: 2, reason: "no longer a peer" }]);
    a.transport.send(2, heartbeat(1, 2, 1));
    b.transport.send(1, heartbeat(2, 1, 5));
    await until("the other direction still works", () => commitsOf(a).length === 1);
    assert.deepEqual(commitsOf(b), []);
  });

  it("bound what waits for a slow peer by dropping the newest, never by waiting", async () => {
    const options = { queueBytesMax: 100_000, streamBytesMax: 10_000 };
    const [a, b] = await pair({ options });
    await until("the link", () => a.connected.includes(2));
    const data = Buffer.alloc(5000);
    for (let i = 1; i <= 100; i++)
      a.transport.send(2, {
        raft: {
          messages: [{ kind: 0, from: 1, to: 2, term: 1, commit: i, entries: [{ index: 1, term: 1, data }] }],
        },
      });
    const dropped = a.meter.counter("peer_frames_dropped", { peer: "n2" });
    assert(dropped >= 75 && dropped <= 85, `dropped ${dropped}`);
    await until("the rest arrives", () => commitsOf(b).length === 100 - dropped);
    assert.deepEqual(
      commitsOf(b),
      Array.from({ length: 100 - dropped }, (_, i) => i + 1),
      "the oldest, in order",
    );
  });

  describe("refuse", () => {
    async function refusal(dialler: NodeSetup, acceptor: NodeSetup = {}): Promise<string> {
      const b = await start(2, acceptor);
      const a = await start(1, dialler);
      a.transport.setPeers([b.target]);
      await until("the refusal", () => a.log.lines.some((line) => line.level === "warn"));
      assert.deepEqual(a.connected, []);
      assert.deepEqual(b.received, []);
      return JSON.stringify(a.log.lines.find((line) => line.level === "warn")?.fields);
    }

    it("another cluster, naming both", async () => {
      assert.match(await refusal({ self: { clusterId: "other" } }), /WRONG_CLUSTER.*other.*c1/);
    });

    it("a node that is not the one that was dialled", async () => {
      assert.match(await refusal({}, { self: { raftId: 3 } }), /UNKNOWN_MEMBER.*member 2.*member 3/);
    });

    it("a wiped disk, and tell the node that has it", async () => {
      const b = await start(2, { admit: (said) => (said.raftId === 1 ? "its data folder was wiped" : null) });
      const a = await start(1);
      a.transport.setPeers([b.target]);
      await until("the refusal", () => a.refused.length > 0);
      assert.deepEqual(a.refused[0], { peer: 2, code: "PERMISSION_DENIED" });
      await until("more refusals", () => b.meter.counter("peer_links_refused") >= 3);
      const lines = b.log.lines.filter(({ message }) => message === "refused a peer link");
      assert.equal(lines.length, 1, "said once");
      assert.match(JSON.stringify(lines), /n1.*PERMISSION_DENIED.*wiped/);
    });

    it("an old incarnation", async () => {
      const admit = (said: { incarnation: number }) =>
        said.incarnation < 2 ? "incarnation 2 has taken its place" : null;
      assert.match(await refusal({}, { admit }), /PERMISSION_DENIED.*incarnation 2/);
    });

    it("a peer whose disk is not the one it had, also from the dialling side", async () => {
      const admit = (said: { raftId: number }) => (said.raftId === 2 ? "its data folder was wiped" : null);
      assert.match(await refusal({ admit }), /wiped/);
    });
  });

  describe("survive", () => {
    async function healthyAfter(assault: (port: number, b: Node) => Promise<void>): Promise<void> {
      const [a, b] = await joined();
      await assault(b.port, b);
      a.transport.send(2, heartbeat(1, 2, 4711));
      await until("a frame after the assault", () => commitsOf(b).includes(4711));
    }

    it("garbage on the port", async () => {
      console.log(`      SEED=${SEED}`);
      const random = Prng.fromSeed(SEED);
      await healthyAfter(async (port) => {
        for (let i = 0; i < 20; i++) await throwAt(port, Buffer.from(random.bytes(1 + random.below(5000))));
      });
    });

    it("garbage behind a good HTTP/2 preface", async () => {
      const random = Prng.fromSeed(SEED);
      const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
      await healthyAfter(async (port) => {
        for (let i = 0; i < 20; i++)
          await throwAt(port, Buffer.concat([preface, Buffer.from(random.bytes(1 + random.below(2000)))]));
      });
    });

    it("frames that are no protobuf, truncated, oversized or out of protocol", async () => {
      const random = Prng.fromSeed(SEED);
      await healthyAfter(async (port, b) => {
        const statuses: string[] = [];
        for (let i = 0; i < 20; i++) {
          const body = Buffer.from(random.bytes(1 + random.below(300)));
          statuses.push(await callRaw(port, "Link", framed(body)));
        }
        const truncated = framed(Buffer.alloc(100)).subarray(0, 50);
        statuses.push(await callRaw(port, "Link", truncated));
        const oversized = Buffer.alloc(5);
        oversized.writeUInt32BE(64 * 1024 * 1024, 1);
        assert.equal(
          await callRaw(port, "Link", oversized),
          "8",
          "RESOURCE_EXHAUSTED, before the body is there",
        );
        assert(
          statuses.every((status) => status !== "0"),
          `some garbage was taken: ${statuses.join(",")}`,
        );
        assert.deepEqual(b.received, []);
      });
    });

    it("a malformed core message on a good link: the link goes, with the reason", async () => {
      const [a, b] = await joined();
      const bad: v1.IPeerFrame = { raft: { messages: [{ kind: 99, from: 1, to: 2, term: 1 }] } };
      a.transport.send(2, bad);
      await until("the link breaks", () => a.disconnected.length === 1);
      assert.match(
        a.disconnected[0]?.reason ?? "",
        /INVALID_ARGUMENT.*malformed frame: unknown message kind 99/,
      );
      await until("and comes back", () => a.connected.length === 2);
      assert.deepEqual(b.received, []);
    });
  });
});

/** Writes bytes to a port and waits until the other side hangs up or has taken them. */
async function throwAt(port: number, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.end(bytes);
      socket.resume();
    });
    socket.on("error", () => resolve());
    socket.on("close", () => resolve());
    socket.setTimeout(30, () => socket.destroy());
  });
}
