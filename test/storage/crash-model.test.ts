import assert from "node:assert/strict";
import type { ConfState, HardState, SnapshotMeta } from "../../src/raft/index.js";
import { Prng } from "../../src/runtime/index.js";
import type { NodeStorage } from "../../src/storage/index.js";
import { CrashKv } from "./crash-kv.js";
import { batch, change, conf, entry, opened, stateOf } from "./fixtures.js";
import { chunkCrc } from "../../src/storage/state-snapshot.js";

const SEED = Number(process.env["SEED"] ?? 20);
const LIVES = 80;

/** What a disk should hold, in plain values. */
interface Model {
  readonly hardState: HardState;
  readonly boundary: number;
  readonly boundaryTerm: number;
  /** Terms of the entries behind the boundary. */
  readonly terms: readonly number[];
  readonly applied: number;
  readonly confState: ConfState;
  readonly state: Readonly<Record<string, string>>;
}

/** One life of a process: operations drawn at random, each with what the disk should hold after it. */
class Life {
  readonly history: Model[];
  /** How much of `history` was acknowledged as durable. */
  durable = 0;
  #seq = 0;
  #transfers = 0;

  constructor(
    readonly storage: NodeStorage,
    readonly random: Prng,
    start: Model,
  ) {
    this.history = [start];
  }

  get now(): Model {
    return this.history.at(-1) as Model;
  }

  async step(): Promise<void> {
    const drawn = this.random.below(20);
    if (drawn < 8) this.#append();
    else if (drawn < 10) this.#vote();
    else if (drawn < 15) this.#apply();
    else if (drawn < 17) this.#compact();
    else if (drawn < 18) await this.#receive(true);
    else if (drawn < 19) await this.#receive(false);
    // Sometimes the disk is given time, sometimes batches pile up behind one another.
    if (this.random.chance(1, 3)) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Appends behind the log or over its unapplied part, as a follower does. */
  #append(): void {
    const { boundary, terms, applied, hardState } = this.now;
    const last = boundary + terms.length;
    const lowest = Math.max(applied, boundary) + 1;
    const first = lowest + this.random.below(last - lowest + 2);
    const kept = terms.slice(0, first - boundary - 1);
    const term = Math.max(hardState.term, kept.at(-1) ?? this.now.boundaryTerm) + (first <= last ? 1 : 0);
    const count = 1 + this.random.below(this.random.chance(1, 10) ? 700 : 5);
    const entries = Array.from({ length: count }, (_, i) => entry(first + i, term));
    const next = { ...hardState, term: Math.max(term, hardState.term) };
    this.#persist(
      { hardState: next, entries },
      { ...this.now, hardState: next, terms: [...kept, ...entries.map((e) => e.term)] },
    );
  }

  #vote(): void {
    const hardState = {
      term: this.now.hardState.term + 1,
      vote: 1 + this.random.below(3),
      commit: this.now.applied,
    };
    this.#persist({ hardState }, { ...this.now, hardState });
  }

  #persist(
    parts: { hardState?: HardState; entries?: ReturnType<typeof entry>[]; snapshot?: SnapshotMeta },
    after: Model,
  ): void {
    this.history.push(after);
    const at = this.history.length - 1;
    this.storage.persist(batch(++this.#seq, parts), (error) => {
      assert.equal(error, null);
      assert(at > this.durable, "acknowledged out of order");
      this.durable = at;
    });
  }

  #apply(): void {
    const { boundary, terms, applied, state } = this.now;
    const last = boundary + terms.length;
    if (applied === last) return;
    const index = applied + 1 + this.random.below(last - applied);
    const changes = [];
    const next: Record<string, string> = { ...state };
    for (let i = this.random.below(4); i >= 0; i--) {
      const key = `key ${this.random.below(12)}`;
      const value = this.random.chance(1, 4) ? null : `${key} at ${index}`;
      changes.push(change(key, value));
      if (value === null) delete next[key];
      else next[key] = value;
    }
    const confState = this.random.chance(1, 5) ? conf(1, 2, 3, 4 + this.random.below(5)) : this.now.confState;
    this.history.push({ ...this.now, applied: index, confState, state: next });
    const term = terms[index - boundary - 1] as number;
    this.storage.writeState(changes, { index, term, confState }, (error) => assert.equal(error, null));
  }

  #compact(): void {
    const { boundary, terms, applied } = this.now;
    if (applied === boundary) return;
    const index = boundary + 1 + this.random.below(applied - boundary);
    const term = terms[index - boundary - 1] as number;
    this.storage.compactLog(index, term);
    this.history.push({
      ...this.now,
      boundary: index,
      boundaryTerm: term,
      terms: terms.slice(index - boundary),
    });
  }

  /** Receives a snapshot from far ahead, in chunks; installs it, or leaves it half done. */
  async #receive(whole: boolean): Promise<void> {
    const { boundary, terms, hardState } = this.now;
    const index = boundary + terms.length + 1 + this.random.below(50);
    const meta = { index, term: hardState.term + 1, confState: conf(1, 2) };
    const records = Array.from({ length: this.random.below(40) }, (_, i) => ({
      key: Buffer.from(`key ${String(i).padStart(3, "0")}`),
      value: Buffer.from(`snapshot ${index}`),
    }));
    const sink = await this.storage.receiveSnapshot(`${this.random.next()}-${++this.#transfers}`, meta);
    const size = 1 + this.random.below(10);
    const stop = whole ? records.length : this.random.below(records.length + 1);
    for (let at = 0, sequence = 0; at === 0 || at < stop; at += size, sequence++) {
      const part = records.slice(at, at + size);
      const last = at + size >= records.length;
      await sink.chunk({
        transferId: sink.transferId,
        sequence,
        records: part,
        crc32: chunkCrc(part),
        last,
        totalRecords: records.length,
      });
    }
    if (!whole || !sink.complete) return;
    const next = { term: meta.term, vote: 0, commit: index };
    this.#persist(
      { hardState: next, snapshot: meta },
      {
        hardState: next,
        boundary: index,
        boundaryTerm: meta.term,
        terms: [],
        applied: index,
        confState: meta.confState,
        state: Object.fromEntries(records.map(({ key, value }) => [key.toString(), value.toString()])),
      },
    );
    // The replica loads the new state before it applies on, so it waits for the installation.
    const installed = this.history.length - 1;
    while (this.durable < installed) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function found(
  storage: NodeStorage,
  durable: Awaited<ReturnType<NodeStorage["loadDurable"]>>,
): Promise<Model> {
  return {
    hardState: durable.hardState,
    boundary: durable.snapshotIndex,
    boundaryTerm: durable.snapshotTerm,
    terms: durable.entries.map((e) => e.term),
    applied: durable.appliedIndex,
    confState: durable.confState,
    state: await stateOf(storage),
  };
}

/** The latest state of `history` that equals what was found; -1 when none does. */
function placeOf(model: Model, history: readonly Model[]): number {
  const text = canonical(model);
  return history.findLastIndex((candidate) => canonical(candidate) === text);
}

function canonical(model: Model): string {
  const state = Object.entries(model.state).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ ...model, state });
}

describe("node storage under crashes", () => {
  it(`comes back with a moment of its past, never older than what it acknowledged (SEED=${SEED}, ${LIVES} lives)`, async () => {
    const random = Prng.fromSeed(SEED);
    let kv = new CrashKv();
    let { storage, durable } = await opened(kv);
    let start = await found(storage, durable);
    const reached = { lost: 0, snapshots: 0, compactions: 0, truncations: 0 };
    for (let lived = 0; lived < LIVES; lived++) {
      const life = new Life(storage, random, start);
      for (let steps = 1 + random.below(40); steps > 0; steps--) await life.step();
      // What the disk may hold after the crash: all that was synced and any number of batches after it.
      const cut = kv.durable + random.below(kv.batches.length - kv.durable + 1);
      const acknowledged = life.durable;
      kv = kv.after(cut);
      ({ storage, durable } = await opened(kv));
      start = await found(storage, durable);
      const place = placeOf(start, life.history);
      assert(place >= 0, `life ${lived}: the disk holds what never was: ${canonical(start)}`);
      assert(place >= acknowledged, `life ${lived}: acknowledged ${acknowledged}, came back at ${place}`);
      if (place < life.history.length - 1) reached.lost++;
      count(life.history, reached);
      if (random.chance(1, 3)) await storage.idle();
    }
    await storage.idle();
    for (const [situation, times] of Object.entries(reached))
      assert(times >= 10, `${situation} only ${times} times`);
  });
});

function count(
  history: readonly Model[],
  reached: { snapshots: number; compactions: number; truncations: number },
): void {
  for (let i = 1; i < history.length; i++) {
    const [before, after] = [history[i - 1] as Model, history[i] as Model];
    if (after.boundary > before.boundary && after.applied > before.applied) reached.snapshots++;
    else if (after.boundary > before.boundary) reached.compactions++;
    else if (
      after.hardState.term > before.hardState.term &&
      after.terms.length > 0 &&
      after.terms !== before.terms
    )
      reached.truncations++;
  }
}
