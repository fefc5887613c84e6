import { type Entry, type Index, type Message, MessageKind, type RaftId, type Term } from "../raft/index.js";
import type { Clock, Scheduler, Timer } from "../runtime/api.js";

/** Entries of several appends go together up to so many, and so many bytes; beyond that they are worth a message. */
const GATHERED_ENTRIES_MAX = 16;
const GATHERED_BYTES_MAX = 64 * 1024;

interface Held {
  readonly message: Message;
  readonly sinceMs: number;
}

/** What the hold needs of its replica. */
export interface HoldHost {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** How long a commit index that goes alone may be kept; zero: nothing is kept at all. */
  readonly holdMs: number;
  /** How long entries that one member alone waits for may be kept from the others. */
  readonly entryHoldMs: number;
  /** The last entry that was appended for a command from this peer. */
  passedBy(peer: RaftId): Index;
  /** Who alone waits for these entries and commits them by two, see `ProposalFlow.onlyWaiter`; zero: nobody. */
  onlyWaiter(first: Index, last: Index): RaftId;
  /** A call of some client is parked in the state: whatever is committed next may be its answer, at any member. */
  callsParked(): boolean;
  /** Sends what was held long enough. */
  release(messages: readonly Message[]): void;
}

/**
 * Keeps back appends that nobody waits for.
 *
 * One that carries nothing but a new commit index: under load the next append has it anyway, and alone it costs both sides
 * a message, an answer and two wake-ups, half of all there are at one operation in flight.
 *
 * One whose entries a single other member waits for, which commits them by the leader's disk and its own: the others get
 * it together with the commit index. Sent at once, it would take processor and disk from the two that decide, where they
 * share them, and tell the commit in a message of its own. What comes within half of its time is gathered into the same
 * message, so that two or three commands in a row cost the others one wake-up, one sync and one answer; it leaves with a
 * commit index, when those who decided have least to do. Not while a call is parked, whose answer such an entry may be.
 * Whoever is slow must not make the rest wait for it, so it goes after its time in any case.
 *
 * A peer that waits for it gets it at once: one whose own command is committed with it, unless it knows of that by the
 * leader's disk and its own, and one that is told in the same turn that a read may be answered. Losing a held message is
 * no more than losing it on the way: heartbeats bring the commit index too.
 */
export class CommitHold {
  private readonly held = new Map<RaftId, Held>();
  /** The highest commit index that each peer was sent in `term`. */
  private readonly told = new Map<RaftId, Index>();
  /** How much of the leader's log each peer knows to be on the leader's disk, in `term`. */
  private readonly noticed = new Map<RaftId, Index>();
  private term: Term = 0;
  private timer: Timer | null = null;
  private timerDueMs = 0;

  constructor(private readonly host: HoldHost) {}

  /** Answers what is to be sent now, in order; keeps the rest. */
  sift(messages: readonly Message[]): readonly Message[] {
    if (this.host.holdMs === 0) return messages;
    let now: Message[] | null = null;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i] as Message;
      const before = this.pass(message);
      if (before === message) {
        now?.push(message);
        continue;
      }
      now ??= messages.slice(0, i);
      if (before !== null) now.push(before, message);
    }
    return now ?? messages;
  }

  /** Null: it is held. The message itself: it goes. Another: that one goes first. */
  private pass(message: Message): Message | null {
    const { kind, to } = message;
    if (kind === MessageKind.ReadIndexResponse) return this.take(to) ?? message;
    if (kind !== MessageKind.Append && kind !== MessageKind.Durable) return message;
    if (message.term !== this.term) this.startTerm(message.term);
    if (kind === MessageKind.Durable) {
      this.noticed.set(to, message.index);
      return message;
    }
    const told = this.told.get(to) ?? 0;
    const held = this.held.get(to);
    const kept = held !== undefined && held.message.entries.length > 0 ? held : null;
    if (kept === null ? this.canWait(message, told) : this.canJoin(kept, message, told)) {
      this.hold(message);
      return null;
    }
    // An append sent later in the same term never has a lower commit index.
    this.held.delete(to);
    if (message.commit > told) this.told.set(to, message.commit);
    return kept === null || joined(kept.message, message) ? message : kept.message;
  }

  private canWait({ to, commit, entries }: Message, told: Index): boolean {
    const known = Math.max(told, this.noticed.get(to) ?? 0);
    if (commit > told && this.host.passedBy(to) > known) return false;
    if (entries.length === 0) return commit > told;
    const waiter = this.host.onlyWaiter((entries[0] as Entry).index, (entries.at(-1) as Entry).index);
    return waiter !== 0 && waiter !== to;
  }

  /** Whether `message` stays with the entries that are kept; it has them then. */
  private canJoin(kept: Held, message: Message, told: Index): boolean {
    if (this.host.callsParked()) return false;
    const old = this.host.clock.monotonicMs() - kept.sinceMs >= this.host.entryHoldMs / 2;
    if (old && message.entries.length === 0) return false;
    return this.canWait(message, told) && joined(kept.message, message);
  }

  private startTerm(term: Term): void {
    this.term = term;
    this.held.clear();
    this.told.clear();
    this.noticed.clear();
  }

  private hold(message: Message): void {
    const sinceMs = this.held.get(message.to)?.sinceMs ?? this.host.clock.monotonicMs();
    const held = { message, sinceMs };
    this.held.set(message.to, held);
    this.arm(this.dueMs(held));
  }

  private dueMs({ message, sinceMs }: Held): number {
    return sinceMs + (message.entries.length > 0 ? this.host.entryHoldMs : this.host.holdMs);
  }

  private take(peer: RaftId): Message | null {
    const held = this.held.get(peer);
    if (held === undefined) return null;
    this.held.delete(peer);
    this.told.set(peer, held.message.commit);
    return held.message;
  }

  private arm(dueMs: number): void {
    if (this.timer !== null) {
      if (this.timerDueMs <= dueMs) return;
      this.timer.cancel();
    }
    this.timerDueMs = dueMs;
    this.timer = this.host.scheduler.after(dueMs - this.host.clock.monotonicMs(), () => this.look());
  }

  private look(): void {
    this.timer = null;
    const nowMs = this.host.clock.monotonicMs();
    const due: Message[] = [];
    let nextMs = Infinity;
    for (const [peer, held] of this.held) {
      const dueMs = this.dueMs(held);
      if (dueMs > nowMs) nextMs = Math.min(nextMs, dueMs);
      else due.push(this.take(peer) as Message);
    }
    if (due.length > 0) this.host.release(due);
    if (this.held.size > 0) this.arm(nextMs);
  }

  /** Entries were applied here: if a call is parked now, who serves it may have to hear of them. */
  applied(): void {
    let due: Message[] | null = null;
    for (const [peer, { message }] of this.held) {
      if (message.entries.length === 0) continue;
      if (due === null && !this.host.callsParked()) return;
      due ??= [];
      due.push(this.take(peer) as Message);
    }
    if (due !== null) this.host.release(due);
  }
}

/** Puts the entries of `held` before those of `later`, if that goes on where they end; both have the same receiver and term. */
function joined(held: Message, later: Message): boolean {
  const last = held.entries.at(-1) as Entry;
  if (later.index !== last.index || later.session !== held.session) return false;
  if (later.entries.length === 0) later.entries = held.entries;
  else if (fits(held.entries, later.entries)) later.entries = held.entries.concat(later.entries);
  else return false;
  later.index = held.index;
  later.logTerm = held.logTerm;
  return true;
}

function fits(before: readonly Entry[], after: readonly Entry[]): boolean {
  if (before.length + after.length > GATHERED_ENTRIES_MAX) return false;
  return bytesOf(before) + bytesOf(after) <= GATHERED_BYTES_MAX;
}

function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) bytes += (entries[i] as Entry).data.length;
  return bytes;
}
