import assert from "node:assert/strict";
import { Prng } from "../../src/runtime/index.js";
import type { SnapshotSink } from "../../src/transport/api.js";
import { makeHello } from "../../src/transport/handshake.js";
import { fromWire, invalidMessage } from "../../src/transport/index.js";
import { v1 } from "../../src/wire/index.js";
import { callRaw, framed } from "./raw-calls.js";
import { commitsOf, heartbeat, startNode, until, type Node } from "./fixtures.js";

const SEED = Number(process.env["SEED"] ?? 11);
const ROUNDS = 150;

const STRANGER = { clusterId: "c1", raftId: 9, incarnation: 1, name: "n9", diskId: "disk-9" };

/** A valid frame of some kind, to be spoilt. */
function someFrame(random: Prng): v1.IPeerFrame {
  const data = random.bytes(random.below(60));
  const term = 1 + random.below(5);
  const index = random.below(100);
  const message: v1.IRaftMessage = {
    kind: random.below(15),
    from: 9,
    to: 2,
    term,
    index,
    commit: random.below(100),
  };
  switch (random.below(5)) {
    case 0:
      return {
        raft: { messages: [{ ...message, kind: 0, entries: [{ index: index + 1, term, data }] }, message] },
      };
    case 1:
      return { forward: { term, proposals: [{ proposal: index, command: data }] } };
    case 2:
      return { forwardRefused: { term, proposals: [index] } };
    case 3:
      return { leaseRevoked: { node: "n3", incarnation: 1, silentMs: 5 } };
    default:
      return { raft: { messages: Array.from({ length: random.below(20) }, () => message) } };
  }
}

/** Flips, cuts, doubles or inserts bytes. */
function spoilt(bytes: Uint8Array, random: Prng): Buffer {
  const copy = Buffer.from(bytes);
  const at = random.below(copy.length + 1);
  switch (random.below(4)) {
    case 0:
      for (let i = random.below(4); i >= 0; i--)
        if (copy.length > 0) copy[random.below(copy.length)] = random.below(256);
      return copy;
    case 1:
      return copy.subarray(0, at);
    case 2:
      return Buffer.concat([copy, copy.subarray(at)]);
    default:
      return Buffer.concat([copy.subarray(0, at), random.bytes(1 + random.below(12)), copy.subarray(at)]);
  }
}

describe(`peer port under spoilt frames (SEED=${SEED})`, () => {
  let a: Node;
  let b: Node;
  const chunks: v1.ISnapshotChunk[] = [];

  before(async () => {
    const sink: SnapshotSink = {
      get nextSequence() {
        return chunks.length;
      },
      chunk: async (chunk) => void chunks.push(chunk),
      finish: async () => false,
      abort: () => {},
    };
    a = await startNode(1);
    b = await startNode(2, { onSnapshot: () => sink });
    a.transport.setPeers([b.target]);
    await until("the link", () => a.connected.length === 1);
  });
  after(async () => {
    await a.stop();
    await b.stop();
  });

  async function healthy(commit: number): Promise<void> {
    a.transport.send(2, heartbeat(1, 2, commit));
    await until("a frame from the good peer", () => commitsOf(b).includes(commit));
    assert.equal(a.disconnected.length, 0, "the good peer's link never broke");
    await until("the bad links are gone", () => b.meter.gauges.get("peer_incoming_links") === 1);
  }

  it("gives the core only what the core can take, and keeps the good links", async () => {
    const random = Prng.fromSeed(SEED);
    const hello = framed(v1.PeerFrame.encode({ hello: makeHello(STRANGER, 2, 0) }).finish());
    const statuses = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const parts = [random.chance(1, 20) ? framed(spoilt(hello.subarray(5), random)) : hello];
      for (let i = random.below(5); i >= 0; i--) {
        const good = v1.PeerFrame.encode(someFrame(random)).finish();
        parts.push(framed(random.chance(2, 3) ? spoilt(good, random) : good));
      }
      const status = await callRaw(
        b.port,
        "Link",
        random.chance(1, 10) ? spoilt(Buffer.concat(parts), random) : Buffer.concat(parts),
      );
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    for (const { from, frame } of b.received)
      for (const message of frame.raft?.messages ?? []) {
        assert.equal(invalidMessage(message, from, 2), null);
        fromWire(message);
      }
    assert(
      (statuses.get("3") ?? 0) + (statuses.get("13") ?? 0) > ROUNDS / 4,
      `statuses ${JSON.stringify([...statuses])}`,
    );
    assert(b.received.length > ROUNDS / 10, `only ${b.received.length} good frames were taken`);
    await healthy(4711);
  });

  it("survives spoilt snapshot streams", async () => {
    const random = Prng.fromSeed(SEED + 1);
    const message: v1.IRaftMessage = {
      kind: 8,
      from: 9,
      to: 2,
      term: 3,
      snapshot: { index: 5, term: 2, confState: { voters: [1, 2] } },
    };
    for (let round = 0; round < ROUNDS; round++) {
      const parts: Buffer[] = [];
      for (let sequence = 0; sequence <= random.below(4); sequence++) {
        const chunk: v1.ISnapshotChunk = {
          ...(sequence === 0 ? { hello: makeHello(STRANGER, 2, 0), message } : {}),
          transferId: "t",
          sequence,
          records: [{ key: random.bytes(5), value: random.bytes(50) }],
          last: random.chance(1, 4),
        };
        const good = v1.SnapshotChunk.encode(chunk).finish();
        parts.push(framed(random.chance(1, 2) ? spoilt(good, random) : good));
      }
      const status = await callRaw(b.port, "InstallSnapshot", Buffer.concat(parts));
      assert.notEqual(status, "closed");
    }
    assert(chunks.length > ROUNDS / 10, "good chunks were taken");
    await healthy(4712);
  });
});
