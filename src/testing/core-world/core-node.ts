import {
  type ConfChange,
  type Effects,
  type Entry,
  EntryKind,
  type Message,
  MessageKind,
  type PersistBatch,
  type RaftMember,
  type RaftOptions,
  type RaftStatus,
  type SnapshotMeta,
  decodeConfChange,
  restoreRaft,
} from "../../raft/index.js";
import type { Prng } from "../sim/prng.js";
import { type SimClock, type SimEvent, type Simulation, Violation } from "../sim/index.js";
import { CoreDisk } from "./core-disk.js";
import type { CoreSettings } from "./swarm.js";
import { applyEntry, emptyState, type RegisterState } from "./register-state.js";

/** What travels between members: a message, and with a snapshot message the state that it describes. */
export interface Packet {
  readonly message: Message;
  readonly state: RegisterState | null;
  /** Which life of the sender sent it. */
  readonly life: number;
  /** How often the receiver's disk had been emptied when it was sent: links are made to one incarnation. */
  readonly incarnation: number;
}

/** What a node tells the world around it; the world checks and delivers. */
export interface NodeEvents {
  /** A message leaves. */
  send(node: CoreNode, message: Message, state: RegisterState | null): void;
  /** After each turn, once its effects are out. */
  afterTurn(node: CoreNode, effects: Effects | null): void;
  logged(node: CoreNode, batch: PersistBatch): void;
  committed(node: CoreNode, entries: readonly Entry[]): void;
  applied(node: CoreNode, entry: Entry, state: RegisterState): void;
  restored(node: CoreNode): void;
  /** Asked between two effects: true crashes the node right there. */
  crashHere(node: CoreNode): boolean;
  /** The disk failed or the core found a broken invariant it may find (a failed disk). */
  stopped(node: CoreNode): void;
}

/** Outcome of a write that this node proposed. */
export type WriteOutcome = { readonly index: number; readonly previous: number } | "lost";

interface PendingWrite {
  readonly term: number;
  readonly done: (outcome: WriteOutcome) => void;
}

interface PendingRead {
  readonly done: (answer: { readonly index: number; readonly state: RegisterState } | null) => void;
  /** Zero until the core has named the index. */
  index: number;
  readonly sinceUs: number;
}

/** One life is from start to crash. The shell around the core: what the replica does in production, in small. */
export class CoreNode {
  member: RaftMember | null = null;
  state: RegisterState;
  life = 0;
  /** How often the operator has emptied the disk. */
  incarnation = 0;
  paused = false;
  /** True while `restored` tells of a start, false when it tells of a snapshot. */
  fresh = false;
  /** Virtual time at which the oldest read that has no answer yet was asked; Infinity for none. */
  get oldestReadUs(): number {
    let oldest = Infinity;
    for (const { sinceUs } of this.reads.values()) if (sinceUs < oldest) oldest = sinceUs;
    return oldest;
  }
  /** Snapshots under way from here, by receiver. */
  private readonly sending = new Map<number, number>();
  /** Lost its disk, or refuses to start from what is on it: never comes back under this id. */
  wiped = false;
  /** The highest place in the log at which a configuration change was proposed here, over all lives. */
  changeProposedAt = 0;
  private turnPlanned = false;
  private inbox: { readonly run: () => void; readonly timer: boolean }[] = [];
  private applyQueue: Entry[] = [];
  private applyTimer: SimEvent | null = null;
  private tickTimer: SimEvent | null = null;
  private lastTickMs = 0;
  private readonly offered = new Map<number, RegisterState>();
  private readonly arrived = new Map<string, RegisterState>();
  private readonly writes = new Map<number, PendingWrite>();
  private readonly reads = new Map<number, PendingRead>();
  private nextRead = 1;

  constructor(
    readonly id: number,
    private readonly sim: Simulation,
    readonly clock: SimClock,
    readonly disk: CoreDisk,
    private readonly prng: Prng,
    readonly settings: CoreSettings,
    private readonly options: RaftOptions,
    private readonly events: NodeEvents,
  ) {
    this.state = disk.state;
  }

  get running(): boolean {
    return this.member !== null;
  }

  /** Gone for good, or as soon as it has to start again. */
  get doomed(): boolean {
    return this.wiped || this.disk.rot !== null;
  }

  /** Starts from the disk. */
  start(): void {
    if (this.member !== null || this.wiped) return;
    if (this.disk.reserveIsGone) {
      // Not a byte left to write a vote with: tried again when there is space.
      this.sim.tally.situation("start refused: disk full");
      this.sim.at(this.disk.fullUntilUs + 1, () => this.start());
      return;
    }
    const rot = this.disk.recover();
    if (rot !== null) {
      this.sim.tally.situation(`start refused: rotten ${rot}`);
      this.wiped = true;
      return;
    }
    this.life++;
    this.state = this.disk.state;
    this.member = restoreRaft(this.options, this.disk.durable());
    this.offer();
    this.fresh = true;
    this.events.restored(this);
    this.fresh = false;
    this.lastTickMs = this.clock.monotonicMs();
    this.armTick();
    this.turn();
  }

  /** Power is gone, or the process was killed: everything volatile is lost. */
  crash(keepUnsynced: boolean): void {
    if (this.member === null) return;
    this.member = null;
    this.paused = false;
    this.turnPlanned = false;
    this.inbox = [];
    this.applyQueue = [];
    this.applyTimer?.cancel();
    this.applyTimer = null;
    this.tickTimer?.cancel();
    this.offered.clear();
    this.arrived.clear();
    this.writes.clear();
    this.reads.clear();
    this.sending.clear();
    this.disk.crash(keepUnsynced);
  }

  /** The operator takes everything off the disk but term and vote, and starts the member anew. */
  empty(): void {
    this.crash(false);
    this.incarnation++;
    this.disk.empty(emptyState());
    this.wiped = false;
    this.state = this.disk.state;
    this.start();
  }

  /** Stops all progress without losing anything, as SIGSTOP does; `false` lets what has piled up happen. */
  pause(paused: boolean): void {
    if (this.member === null || this.paused === paused) return;
    this.paused = paused;
    if (paused) return;
    const waiting = this.inbox;
    this.inbox = [];
    // After a stall a timer may be looked at before the messages that wait in the sockets.
    if (this.prng.chance(0.5)) waiting.sort((x, y) => Number(y.timer) - Number(x.timer));
    for (const { run } of waiting) run();
  }

  /** Runs something in this life of the node: now, or when it is no longer paused. */
  private alive(run: () => void, timer = false): () => void {
    const { life } = this;
    const guarded = (): void => {
      if (this.life !== life || this.member === null) return;
      if (this.paused) this.inbox.push({ run: guarded, timer });
      else run();
    };
    return guarded;
  }

  private armTick(): void {
    this.tickTimer = this.sim.after(
      this.clock.virtualUs(this.settings.tickMs),
      this.alive(() => this.onTick(), true),
    );
  }

  private onTick(): void {
    const member = this.member as RaftMember;
    const now = this.clock.monotonicMs();
    const lateMs = now - this.lastTickMs - this.settings.tickMs;
    this.lastTickMs = now;
    this.armTick();
    if (lateMs > this.settings.tickMs * this.options.heartbeatTicks) {
      this.sim.tally.situation("late timer after a stall");
      member.stalled();
    }
    member.tick();
    this.endInput();
  }

  receive(packet: Packet): void {
    this.alive(() => {
      const { message, state } = packet;
      if (state !== null && message.snapshot !== null) {
        this.arrived.set(`${message.snapshot.index}/${message.snapshot.term}`, state);
      }
      (this.member as RaftMember).step(message);
      this.endInput();
    })();
  }

  /** Runs one input of an operator or a client against the core, then the turn that follows. Null when not running. */
  act<T>(input: (member: RaftMember) => T): T | null {
    if (this.member === null || this.paused) return null;
    const result = input(this.member);
    this.endInput();
    return result;
  }

  /** Proposes a write; false when it was refused and surely did not happen. */
  write(data: Uint8Array, done: (outcome: WriteOutcome) => void, awaiting: CoreNode | null = null): boolean {
    if (this.member === null || this.paused) return false;
    if (this.disk.isFull) {
      this.sim.tally.situation("proposal refused: disk full");
      return false;
    }
    const result = this.member.propose([data]);
    if (result.ok) {
      this.writes.set(result.index, { term: result.term, done });
      if (awaiting?.expect(result.index, result.term, done)) this.member.awaitedBy(awaiting.id, result.index);
    } else this.sim.tally.situation(`proposal refused: ${result.reason}`);
    this.endInput();
    return result.ok;
  }

  /** A write that another member has proposed is answered here as well, by whoever has applied it first. */
  private expect(index: number, term: number, done: (outcome: WriteOutcome) => void): boolean {
    if (this.member === null || this.paused || this.writes.has(index)) return false;
    this.writes.set(index, { term, done });
    return true;
  }

  /** Reads the whole state linearizably; null means that the read failed. */
  read(done: PendingRead["done"]): boolean {
    if (this.member === null || this.paused) return false;
    const request = this.nextRead++;
    this.reads.set(request, { done, index: 0, sinceUs: this.sim.nowUs });
    this.member.readIndex(request);
    this.endInput();
    return true;
  }

  proposeConfChange(change: ConfChange): boolean {
    const result = this.act((member) => member.proposeConfChange(change));
    if (result?.ok) this.changeProposedAt = Math.max(this.changeProposedAt, result.index);
    if (result !== null && !result.ok) this.sim.tally.situation(`conf change refused: ${result.reason}`);
    return result?.ok ?? false;
  }

  /** An input has been taken: the turn follows at once, or soon, in common with the inputs until then. */
  private endInput(): void {
    const { turnMaxUs } = this.settings.extra;
    if (turnMaxUs === 0) this.turn();
    else if (!this.turnPlanned) {
      this.turnPlanned = true;
      this.sim.after(
        this.prng.below(turnMaxUs),
        this.alive(() => {
          if (this.turnPlanned) this.turn();
        }),
      );
    }
  }

  /** Drains until nothing is left: one turn of the loop. */
  private turn(): void {
    this.turnPlanned = false;
    while (this.member?.hasEffects()) {
      const effects = this.member.drain();
      if (!this.perform(effects)) return;
      this.events.afterTurn(this, effects);
    }
    if (this.member !== null) this.events.afterTurn(this, null);
  }

  /** False when the node crashed in between. */
  private perform(effects: Effects): boolean {
    const { events } = this;
    for (const message of effects.messages) {
      events.send(this, message, null);
    }
    if (effects.messages.length > 0 && events.crashHere(this)) return false;
    for (const { meta, message } of effects.snapshotTo) this.sendSnapshot(meta, message);
    if (effects.persist !== null) {
      this.persist(effects.persist);
      if (events.crashHere(this)) return false;
    }
    if (effects.committed.length > 0) {
      events.committed(this, effects.committed);
      for (const entry of effects.committed) this.applyQueue.push(entry);
      this.armApply();
    }
    this.settleReads(effects);
    return this.member !== null;
  }

  private persist(batch: PersistBatch): void {
    this.events.logged(this, batch);
    let installed: RegisterState | null = null;
    if (batch.snapshot !== null) {
      const { index } = batch.snapshot;
      if (this.applyQueue.length > 0) this.sim.tally.situation("snapshot accepted over a waiting apply");
      this.applyQueue = this.applyQueue.filter((entry) => entry.index > index);
      installed = this.arrived.get(`${batch.snapshot.index}/${batch.snapshot.term}`) ?? null;
    }
    const durable = this.alive(() => {
      if (installed !== null) this.install(installed);
      (this.member as RaftMember).persisted(batch.seq);
      for (const message of batch.after) this.events.send(this, message, null);
      if (batch.after.length > 0 && this.events.crashHere(this)) return;
      this.endInput();
    });
    this.disk.writeBatch(batch, installed, (ok) => {
      if (ok) durable();
      else this.events.stopped(this);
    });
  }

  private install(state: RegisterState): void {
    this.sim.tally.situation("snapshot installed");
    if (state.index > this.state.index) this.state = state;
    for (const [key, other] of this.arrived) if (other.index <= state.index) this.arrived.delete(key);
    this.offered.clear();
    this.offer();
    this.events.restored(this);
    // Reads that waited for entries which the snapshot has brought in one piece.
    this.answerReads();
  }

  private sendSnapshot(meta: SnapshotMeta, message: Message): void {
    const state = this.offered.get(meta.index) ?? null;
    if (state === null)
      throw new Error(`member ${this.id} sends snapshot ${meta.index}, which was not offered`);
    this.sim.tally.situation("snapshot sent");
    const ok = !this.prng.chance(this.settings.snapshotFailRate);
    this.sending.set(message.to, meta.index);
    const report = this.alive(() => {
      this.sending.delete(message.to);
      this.member?.reportSnapshot(message.to, ok);
      this.endInput();
    });
    const delay = this.prng.below(this.settings.snapshotMaxUs) + 100;
    const { life } = this;
    this.sim.after(delay, () => {
      if (ok) {
        if (this.life === life) this.events.send(this, message, state);
      } else this.sim.tally.fault("snapshot transfer failed");
      this.sim.after(this.prng.below(5000), report);
    });
  }

  private armApply(): void {
    if (this.applyTimer !== null || this.applyQueue.length === 0) return;
    const slow = this.prng.chance(this.settings.slowApplyRate);
    if (slow) this.sim.tally.fault("slow apply");
    const delay = slow ? this.prng.below(this.settings.slowApplyMaxUs) : this.prng.below(200);
    this.applyTimer = this.sim.after(
      delay,
      this.alive(() => {
        this.applyTimer = null;
        // What a turn has decided is looked at under the configuration that it was decided in.
        if (this.turnPlanned) this.turn();
        if (this.member === null) return;
        this.applySome();
        this.turn();
        this.armApply();
      }),
    );
  }

  private applySome(): void {
    const count = this.applyQueue.length;
    const take = this.prng.chance(0.2) ? 1 + this.prng.below(count || 1) : count;
    const entries = this.applyQueue.splice(0, take);
    const member = this.member as RaftMember;
    for (const entry of entries) {
      let { confState, confIndex } = this.state;
      const previous = this.state.registers;
      if (entry.kind !== EntryKind.Normal) {
        confState = member.applyConfChange(decodeConfChange(entry));
        confIndex = entry.index;
      }
      this.state = applyEntry(this.state, entry, confState, confIndex);
      this.events.applied(this, entry, this.state);
      this.settleWrite(entry, previous);
    }
    if (entries.length === 0) return;
    this.disk.writeState(this.state);
    member.applied(this.state.index);
    this.offer();
    this.compact();
    this.answerReads();
  }

  private offer(): void {
    const { state } = this;
    this.offered.set(state.index, state);
    if (this.offered.size > 64) this.offered.delete(this.offered.keys().next().value as number);
    this.member?.offerSnapshot({
      index: state.index,
      term: state.term,
      confState: state.confState,
      confIndex: state.confIndex,
    });
  }

  private compact(): void {
    const member = this.member as RaftMember;
    const boundary = this.state.index - this.settings.logKept;
    if (boundary - this.disk.snapshotIndex < this.settings.compactEvery) return;
    const reached = member.compact(boundary);
    this.checkTail(member.status(), reached);
    this.disk.writeCompaction(reached);
    this.sim.tally.situation("log compacted");
  }

  /** What a peer needs after the snapshot that it is just receiving must stay in the log (lesson L42). */
  private checkTail(status: RaftStatus, reached: number): void {
    for (const { id, state } of status.progress) {
      const index = this.sending.get(id);
      if (state !== "snapshot" || index === undefined || reached <= index) continue;
      throw new Violation(
        "log tail kept",
        `leader ${this.id} forgets its log to ${reached} while member ${id} receives snapshot ${index}`,
      );
    }
  }

  private settleWrite(entry: Entry, registersBefore: readonly number[]): void {
    const pending = this.writes.get(entry.index);
    if (pending === undefined) return;
    this.writes.delete(entry.index);
    if (pending.term !== entry.term) {
      this.sim.tally.situation("proposal replaced by another leader's entry");
      pending.done("lost");
      return;
    }
    pending.done({ index: entry.index, previous: registersBefore[entry.data[0] as number] as number });
  }

  private settleReads(effects: Effects): void {
    for (const { request, index } of effects.reads) {
      const pending = this.reads.get(request);
      if (pending !== undefined) pending.index = index;
    }
    for (const { request, reason } of effects.failedReads) {
      const pending = this.reads.get(request);
      this.reads.delete(request);
      this.sim.tally.situation(`read failed: ${reason}`);
      pending?.done(null);
    }
    if (effects.reads.length > 0) this.answerReads();
  }

  private answerReads(): void {
    for (const [request, pending] of this.reads) {
      if (pending.index === 0 || pending.index > this.state.index) continue;
      this.reads.delete(request);
      pending.done({ index: this.state.index, state: this.state });
    }
  }

  /** Whether a message of this kind may be told from its absence by its receiver; for counting only. */
  static isVote(message: Message): boolean {
    return message.kind === MessageKind.Vote || message.kind === MessageKind.PreVote;
  }
}
