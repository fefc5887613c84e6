import { type Entry, type Index, type Message, MessageKind, type RaftId, type Term } from "../raft/index.js";
import type { Clock, Scheduler } from "../runtime/api.js";

interface Held {
  readonly message: Message;
  readonly sinceMs: number;
}

/** What the hold needs of its replica. */
export interface HoldHost {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** How long a message that nobody waits for may be kept; zero: not at all. */
  readonly holdMs: number;
  /** The last entry that was appended for a command from this peer. */
  passedBy(peer: RaftId): Index;
  /** Who alone waits for these entries and commits them by two, see `ProposalFlow.onlyWaiter`; zero: nobody. */
  onlyWaiter(first: Index, last: Index): RaftId;
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
 * share them, and tell the commit in a message of its own. Whoever is slow must not make the rest wait for it, so it goes
 * after the same time in any case.
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
  private armed = false;

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
    const held = this.held.get(to)?.message;
    const kept = held !== undefined && held.entries.length > 0 ? held : null;
    if (kept === null && this.canWait(message, told)) {
      this.hold(message);
      return null;
    }
    // An append sent later in the same term never has a lower commit index.
    this.held.delete(to);
    if (message.commit > told) this.told.set(to, message.commit);
    return kept === null || joined(kept, message) ? message : kept;
  }

  private canWait({ to, commit, entries }: Message, told: Index): boolean {
    const known = Math.max(told, this.noticed.get(to) ?? 0);
    if (commit > told && this.host.passedBy(to) > known) return false;
    if (entries.length === 0) return commit > told;
    const waiter = this.host.onlyWaiter((entries[0] as Entry).index, (entries.at(-1) as Entry).index);
    return waiter !== 0 && waiter !== to;
  }

  private startTerm(term: Term): void {
    this.term = term;
    this.held.clear();
    this.told.clear();
    this.noticed.clear();
  }

  private hold(message: Message): void {
    const sinceMs = this.held.get(message.to)?.sinceMs ?? this.host.clock.monotonicMs();
    this.held.set(message.to, { message, sinceMs });
    this.arm(this.host.holdMs);
  }

  private take(peer: RaftId): Message | null {
    const held = this.held.get(peer);
    if (held === undefined) return null;
    this.held.delete(peer);
    this.told.set(peer, held.message.commit);
    return held.message;
  }

  private arm(delayMs: number): void {
    if (this.armed) return;
    this.armed = true;
    this.host.scheduler.after(delayMs, () => this.look());
  }

  private look(): void {
    this.armed = false;
    const nowMs = this.host.clock.monotonicMs();
    const due: Message[] = [];
    let nextMs = Infinity;
    for (const [peer, { sinceMs }] of this.held) {
      const leftMs = sinceMs + this.host.holdMs - nowMs;
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
      else due.push(this.take(peer) as Message);
    }
    if (due.length > 0) this.host.release(due);
    if (this.held.size > 0) this.arm(nextMs);
  }
}

/** Puts the entries of `held` into `later`, if that has nothing but a newer commit index and goes on where they end. */
function joined(held: Message, later: Message): boolean {
  const last = held.entries.at(-1) as Entry;
  if (later.entries.length > 0 || later.index !== last.index || later.session !== held.session) return false;
  later.index = held.index;
  later.logTerm = held.logTerm;
  later.entries = held.entries;
  return true;
}
