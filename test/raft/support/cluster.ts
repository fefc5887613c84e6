import type { Core } from "../../../src/raft/core.js";
import {
  type ConfState,
  decodeConfChange,
  type DurableState,
  type Effects,
  EMPTY_CONF_STATE,
  foundingState,
  joiningState,
  type Entry,
  EntryKind,
  type HardState,
  type Message,
  NO_LIMIT,
  type RaftId,
  type RaftOptions,
  restoreRaft,
  type SnapshotMeta,
} from "../../../src/raft/index.js";
import type { Member } from "../../../src/raft/member.js";

/** Settings without limits, ten ticks to an election, always the shortest random timeout. */
export function testOptions(id: RaftId, overrides: Partial<RaftOptions> = {}): RaftOptions {
  return {
    id,
    electionTicks: 10,
    heartbeatTicks: 1,
    preVote: true,
    checkQuorum: true,
    appendBytesMax: NO_LIMIT,
    inflightMessagesMax: 256,
    inflightBytesMax: NO_LIMIT,
    uncommittedBytesMax: NO_LIMIT,
    committedBytesMax: NO_LIMIT,
    readMode: "read-index",
    stepDownOnRemoval: true,
    confChangeValidation: true,
    random: () => 0,
    ...overrides,
  };
}

export function voters(...ids: RaftId[]): ConfState {
  return { ...EMPTY_CONF_STATE, voters: ids };
}

type Batch = NonNullable<Effects["persist"]>;

/** A member with a disk that syncs when told, and a state machine that records what it applies. */
export class TestNode {
  member: Member;
  hardState: HardState;
  snapshot: SnapshotMeta;
  log: Entry[];
  applied: Entry[] = [];
  appliedIndex: number;
  conf: ConfState;
  confIndex: number;
  /** Batches written but not synced. */
  pending: Batch[] = [];
  reads: Effects["reads"] = [];
  failedReads: Effects["failedReads"] = [];
  transfers: NonNullable<Effects["transferEnded"]>[] = [];

  constructor(
    readonly options: RaftOptions,
    durable: DurableState,
  ) {
    this.member = restoreRaft(options, durable) as Member;
    this.hardState = durable.hardState;
    this.snapshot = {
      index: durable.snapshotIndex,
      term: durable.snapshotTerm,
      confState: durable.confState,
    };
    this.log = durable.entries.slice();
    this.appliedIndex = durable.appliedIndex;
    this.conf = durable.confState;
    this.confIndex = durable.confIndex ?? 0;
    this.offer(durable.appliedIndex, durable.snapshotTerm);
  }

  /** Offers the applied state, if there is any, as a snapshot. */
  private offer(index: number, term: number): void {
    if (index === 0) return;
    this.member.offerSnapshot({ index, term, confState: this.conf, confIndex: this.confIndex });
  }

  get core(): Core {
    return this.member.core;
  }

  get id(): RaftId {
    return this.options.id;
  }

  /** What survives a crash: everything synced. */
  durable(): DurableState {
    return {
      hardState: this.hardState,
      confState: this.conf,
      confIndex: this.confIndex,
      snapshotIndex: this.snapshot.index,
      snapshotTerm: this.snapshot.term,
      entries: this.log.slice(),
      appliedIndex: this.appliedIndex,
    };
  }

  /** Loses what was not synced and starts again. */
  restart(): void {
    this.pending = [];
    this.member = restoreRaft(this.options, this.durable()) as Member;
  }

  private write(batch: Batch): void {
    if (batch.hardState !== null) this.hardState = batch.hardState;
    if (batch.snapshot !== null) {
      this.snapshot = batch.snapshot;
      this.log = [];
      this.appliedIndex = batch.snapshot.index;
      this.conf = batch.snapshot.confState;
      this.confIndex = batch.snapshot.confIndex ?? batch.snapshot.index;
    }
    const first = batch.entries[0];
    if (first !== undefined) {
      this.log.length = first.index - this.snapshot.index - 1;
      this.log.push(...batch.entries);
    }
  }

  private apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind !== EntryKind.Normal) {
        this.conf = this.member.applyConfChange(decodeConfChange(entry));
        this.confIndex = entry.index;
      }
      this.applied.push(entry);
      this.appliedIndex = entry.index;
      this.offer(entry.index, entry.term);
    }
    const last = entries[entries.length - 1];
    if (last !== undefined) this.member.applied(last.index);
  }

  /** Takes the effects of one turn; answers the messages that may leave. Syncs at once unless `hold`. */
  turn(hold = false): Message[] {
    const out: Message[] = [];
    while (this.member.hasEffects()) {
      const effects = this.member.drain();
      out.push(...effects.messages, ...effects.snapshotTo.map((s) => s.message));
      this.reads.push(...effects.reads);
      this.failedReads.push(...effects.failedReads);
      if (effects.transferEnded !== null) this.transfers.push(effects.transferEnded);
      if (effects.persist !== null) this.pending.push(effects.persist);
      this.apply(effects.committed);
      if (!hold) out.push(...this.sync());
    }
    return out;
  }

  /** Makes the oldest `count` pending batches durable, all by default. */
  sync(count = this.pending.length): Message[] {
    const out: Message[] = [];
    for (const batch of this.pending.splice(0, count)) {
      this.write(batch);
      this.member.persisted(batch.seq);
      out.push(...batch.after);
    }
    return out;
  }
}

/** Members joined by a network that delivers in order, loses what `drop` says, and waits for nobody. */
export class Cluster {
  readonly nodes = new Map<RaftId, TestNode>();
  inbox: Message[] = [];
  drop: (message: Message) => boolean = () => false;

  constructor(
    ids: readonly RaftId[],
    overrides: (id: RaftId) => Partial<RaftOptions> = () => ({}),
    conf: ConfState = voters(...ids),
  ) {
    for (const id of ids) this.add(id, conf, overrides(id));
  }

  /** A founding member of a group of `conf`; without it a member that waits to be added. */
  add(id: RaftId, conf?: ConfState, overrides: Partial<RaftOptions> = {}): TestNode {
    const state = conf === undefined ? joiningState() : foundingState(conf);
    const node = new TestNode(testOptions(id, overrides), state);
    this.nodes.set(id, node);
    return node;
  }

  node(id: RaftId): TestNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  /** Takes all effects and delivers all messages until nothing moves. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      for (const node of this.nodes.values()) this.inbox.push(...node.turn());
      if (this.inbox.length === 0) return;
      const batch = this.inbox;
      this.inbox = [];
      for (const message of batch) if (!this.drop(message)) this.nodes.get(message.to)?.member.step(message);
    }
    throw new Error("the cluster does not come to rest");
  }

  tick(count = 1, ids: Iterable<RaftId> = this.nodes.keys()): void {
    const list = [...ids];
    for (let i = 0; i < count; i++) {
      for (const id of list) this.node(id).member.tick();
      this.settle();
    }
  }

  elect(id: RaftId): void {
    this.node(id).member.campaign();
    this.settle();
    if (this.node(id).core.role !== "leader") throw new Error(`node ${id} was not elected`);
  }

  leader(): TestNode {
    const leaders = [...this.nodes.values()].filter((n) => n.core.role === "leader");
    const top = leaders.sort((a, b) => b.core.term - a.core.term)[0];
    if (top === undefined) throw new Error("no leader");
    return top;
  }
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
