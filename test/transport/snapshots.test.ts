import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { Message, MessageKind } from "../../src/raft/index.js";
import type { SnapshotSink, SnapshotSource } from "../../src/transport/api.js";
import { toWire } from "../../src/transport/index.js";
import type { v1 } from "../../src/wire/index.js";
import { startNode, until, type Node, type NodeSetup } from "./fixtures.js";

/** A source of `count` chunks of `bytes` bytes that tells how many were read. */
function source(count: number, bytes = 100) {
  const message = new Message(MessageKind.Snapshot, 1, 2, 3);
  message.snapshot = {
    index: 9,
    term: 2,
    confState: { voters: [1, 2], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
  };
  const seen = { read: 0, closed: false };
  const made: SnapshotSource = {
    transferId: "3-9-2",
    next: async () => {
      const sequence = seen.read++;
      return {
        ...(sequence === 0 ? { message: toWire(message) } : {}),
        sequence,
        records: [{ key: Buffer.from(`k${sequence}`), value: Buffer.alloc(bytes) }],
        last: sequence === count - 1,
      };
    },
    close: () => {
      seen.closed = true;
    },
  };
  return { seen, made };
}

/** A sink that keeps what it takes over any number of streams. */
class Sink implements SnapshotSink {
  readonly stored: number[] = [];
  readonly aborts: string[] = [];
  finished = 0;
  installs = true;
  gate: Promise<void> = Promise.resolve();
  onStored: (sequence: number) => void = () => {};

  get nextSequence(): number {
    return this.stored.length;
  }

  async chunk(chunk: v1.ISnapshotChunk): Promise<void> {
    await this.gate;
    const sequence = chunk.sequence ?? 0;
    if (sequence < this.nextSequence) return;
    assert.equal(sequence, this.nextSequence);
    this.stored.push(sequence);
    this.onStored(sequence);
  }

  async finish(): Promise<boolean> {
    this.finished++;
    return this.installs;
  }

  abort(reason: string): void {
    this.aborts.push(reason);
  }
}

describe("snapshot streams", () => {
  const nodes: Node[] = [];
  const start = async (raftId: number, setup?: NodeSetup) => {
    const node = await startNode(raftId, setup);
    nodes.push(node);
    return node;
  };
  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.stop();
  });

  it("carry every chunk in order and end when the snapshot is installed", async () => {
    const sink = new Sink();
    let first: v1.ISnapshotChunk | null = null;
    const b = await start(2, {
      onSnapshot: (from, chunk) => {
        assert.equal(from, 1);
        first = chunk;
        return sink;
      },
    });
    const a = await start(1);
    a.transport.setPeers([b.target]);
    const { made, seen } = source(50);
    assert.equal(await a.transport.sendSnapshot(2, made), true);
    assert.deepEqual(sink.stored, [...Array(50).keys()]);
    assert.equal(sink.finished, 1);
    assert.equal(seen.closed, true);
    assert.equal((first as v1.ISnapshotChunk | null)?.message?.snapshot?.index, 9);
    assert.equal((first as v1.ISnapshotChunk | null)?.transferId, "3-9-2");
  });

  it("read no further ahead than the window while the receiver stores slowly", async () => {
    const sink = new Sink();
    let open = () => {};
    sink.gate = new Promise((resolve) => (open = resolve));
    const b = await start(2, { onSnapshot: () => sink });
    const a = await start(1, { options: { snapshotWindow: 3 } });
    a.transport.setPeers([b.target]);
    const { made, seen } = source(20);
    const sent = a.transport.sendSnapshot(2, made);
    await until("the window is full", () => seen.read === 3);
    // The receiver stores nothing yet, so the sender can never read a fourth chunk; appends go on meanwhile.
    await until("the link is up", () => a.connected.includes(2));
    assert.equal(seen.read, 3);
    open();
    assert.equal(await sent, true);
    assert.deepEqual(sink.stored, [...Array(20).keys()]);
  });

  it("go on where they stood after a reset of the connection", async () => {
    const sink = new Sink();
    const b = await start(2, { onSnapshot: () => sink });
    const sockets: Socket[] = [];
    const relay = createServer((near) => {
      const far = connect(b.port, "127.0.0.1");
      sockets.push(near, far);
      near.pipe(far);
      far.pipe(near);
      for (const socket of [near, far]) socket.on("error", () => socket.destroy());
      near.on("close", () => far.destroy());
    });
    await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
    const { port } = relay.address() as AddressInfo;
    let resets = 0;
    sink.onStored = (sequence) => {
      if (sequence % 10 !== 5) return;
      resets++;
      for (const socket of sockets.splice(0)) socket.resetAndDestroy();
    };
    const a = await start(1);
    a.transport.setPeers([{ ...b.target, address: `127.0.0.1:${port}` }]);
    const { made, seen } = source(40, 20_000);
    assert.equal(await a.transport.sendSnapshot(2, made), true);
    assert.equal(resets, 4);
    assert.equal(seen.read, 40, "nothing is read twice from the source");
    assert.deepEqual(sink.stored, [...Array(40).keys()]);
    await a.stop();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => relay.close(resolve));
  });

  it("go on after the receiver restarts", async () => {
    const sink = new Sink();
    const b = await start(2, { onSnapshot: () => sink });
    const a = await start(1);
    a.transport.setPeers([b.target]);
    const stopped = new Promise<void>((resolve) => {
      sink.onStored = (sequence) => {
        if (sequence === 7) resolve(b.stop());
      };
    });
    const { made } = source(20, 20_000);
    const sent = a.transport.sendSnapshot(2, made);
    await stopped;
    assert(sink.aborts.length >= 1);
    await start(2, { port: b.port, onSnapshot: () => sink });
    assert.equal(await sent, true);
    assert.deepEqual(sink.stored, [...Array(20).keys()]);
  });

  it("end without success when the receiver refuses, does not install, or fails to store", async () => {
    const failing = new Sink();
    failing.chunk = async () => {
      throw new Error("disk full");
    };
    const stubborn = new Sink();
    stubborn.installs = false;
    const answers: (Sink | null)[] = [null, stubborn, failing];
    const b = await start(2, { onSnapshot: () => answers.shift() ?? null });
    const a = await start(1);
    a.transport.setPeers([b.target]);
    for (const words of [/not wanted/, /not installed/, /disk full/]) {
      const { made, seen } = source(3);
      assert.equal(await a.transport.sendSnapshot(2, made), false);
      assert.equal(seen.closed, true);
      assert.match(JSON.stringify(a.log.lines.at(-1)), words);
    }
  });

  it("give up when the peer makes no progress", async () => {
    const sink = new Sink();
    let release = () => {};
    sink.gate = new Promise<void>((resolve) => (release = resolve));
    const b = await start(2, { onSnapshot: () => sink });
    const a = await start(1, { options: { snapshotStallMs: 100 } });
    a.transport.setPeers([b.target]);
    assert.equal(await a.transport.sendSnapshot(2, source(5).made), false);
    assert.match(JSON.stringify(a.log.lines.at(-1)), /no progress within 100 ms/);
    release();
  });

  it("refuse a stream of another cluster or without the core's message", async () => {
    const sink = new Sink();
    const b = await start(2, { onSnapshot: () => sink });
    const stranger = await start(1, { self: { clusterId: "c2" } });
    stranger.transport.setPeers([b.target]);
    assert.equal(await stranger.transport.sendSnapshot(2, source(3).made), false);
    const a = await start(3);
    a.transport.setPeers([b.target]);
    assert.equal(
      await a.transport.sendSnapshot(2, { ...source(3).made, next: async () => ({ sequence: 0 }) }),
      false,
    );
    assert.match(JSON.stringify(a.log.lines.at(-1)), /malformed snapshot/);
    assert.deepEqual(sink.stored, []);
  });

  it("are refused at once for a peer that is not known", async () => {
    const a = await start(1);
    const { made, seen } = source(3);
    assert.equal(await a.transport.sendSnapshot(7, made), false);
    assert.equal(seen.closed, true);
  });
});
