import assert from "node:assert/strict";
import { EventRing } from "../../src/node/admin/event-ring.js";
import { NodeNotes } from "../../src/node/admin/node-notes.js";
import type { LeaderInfo, ReplicaStatus } from "../../src/replica/api.js";
import { NOTABLE_KINDS } from "../../src/wire/notable-events.js";
import { TestTime } from "../filenode/world.js";

/** A node whose parts a test moves by hand. */
class Scene {
  readonly time = new TestTime();
  readonly ring = new EventRing(100);
  leaseMs: number | undefined = undefined;
  withheld = "";
  full = false;
  problems: string[] = [];
  private listeners: (() => void)[] = [];
  private info: LeaderInfo = { leaderId: 0, term: 0, isLeader: false, ready: false };
  readonly notes = new NodeNotes({
    node: "n1",
    replica: {
      appliedIndex: 5,
      clusterTimeMs: () => 70,
      leader: () => this.info,
      status: () => ({ lastElectionCause: "n2 was silent" }) as ReplicaStatus,
      onRoleChange: (listener) => {
        const wake = () => listener(this.info);
        this.listeners.push(wake);
        return () => (this.listeners = this.listeners.filter((each) => each !== wake));
      },
    },
    scheduler: this.time.runtime(1).scheduler,
    ring: this.ring,
    nameOf: (id) => `n${id}`,
    leaseLeftMs: () => this.leaseMs,
    withheld: () => this.withheld,
    diskFull: () => this.full,
    problems: () => this.problems,
  });

  leads(leaderId: number, term: number): void {
    this.info = { leaderId, term, isLeader: leaderId === 1, ready: false };
    for (const listener of this.listeners) listener();
  }

  look(): string[] {
    const before = this.ring.from(0).events.length;
    this.time.advance(1_000);
    return this.told(before);
  }

  told(from = 0): string[] {
    return this.ring
      .from(0)
      .events.slice(from)
      .map(({ kind, text }) => `${kind}: ${text}`);
  }
}

describe("what a node notes by itself", () => {
  it("tells who leads, that nobody does, and why it was elected itself", () => {
    const scene = new Scene();
    scene.leads(0, 1);
    scene.leads(2, 2);
    scene.leads(2, 2);
    scene.leads(0, 3);
    scene.leads(1, 4);
    assert.deepEqual(scene.told(), [
      "leader-changed: n2 leads in term 2",
      "leader-lost: no leader is known here in term 3",
      "leader-changed: n1 leads in term 4",
      "leader-elected: elected in term 4: n2 was silent",
    ]);
    const [first] = scene.ring.from(0).events;
    assert.deepEqual(
      [first?.node, first?.seenBy, first?.revision, first?.clusterTimeMs],
      ["n1", "n1", 5, 70],
    );
    scene.notes.stop();
    scene.leads(3, 9);
    assert.equal(scene.told().length, 4);
  });

  it("tells a lease that is held, lost and held again, and why", () => {
    const scene = new Scene();
    assert.deepEqual(scene.look(), []);
    scene.leaseMs = Number.NEGATIVE_INFINITY;
    assert.deepEqual(scene.look(), [], "it was never held");
    scene.leaseMs = 900;
    assert.deepEqual(scene.look(), ["lease-held: the node lease is held: files are served"]);
    assert.deepEqual(scene.look(), []);
    [scene.leaseMs, scene.withheld] = [0, "a share does not answer"];
    assert.deepEqual(scene.look(), [
      "lease-lost: the node lease has run out: no files are served; a share does not answer",
    ]);
  });

  it("tells a full disk and its end, and other problems once each, whatever their figures do", () => {
    const scene = new Scene();
    scene.full = true;
    scene.problems = ["a disk write hangs for 1200 ms"];
    assert.match(scene.look().join("; "), /^disk-full: .*; problem: a disk write hangs for 1200 ms$/);
    scene.problems = ["a disk write hangs for 2400 ms"];
    assert.deepEqual(scene.look(), []);
    scene.full = false;
    scene.problems = [];
    assert.match(
      scene.look().join("; "),
      /^disk-has-room: .*; problem-over: a disk write hangs for 2400 ms$/,
    );
  });

  it("notes only kinds that are kept long", () => {
    const scene = new Scene();
    scene.leads(1, 1);
    [scene.leaseMs, scene.full, scene.problems] = [1, true, ["x"]];
    scene.look();
    [scene.leaseMs, scene.full, scene.problems] = [0, false, []];
    scene.leads(0, 2);
    scene.look();
    const kinds = scene.ring.from(0).events.map(({ kind }) => kind ?? "");
    assert.equal(kinds.length, 9);
    assert.deepEqual(
      kinds.filter((kind) => !NOTABLE_KINDS.includes(kind)),
      [],
    );
  });
});
