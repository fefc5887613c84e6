import { type Index, type Message, MessageKind, type RaftId, type Term } from "../raft/index.js";
import type { Clock, Scheduler } from "../runtime/api.js";

interface Held {
  readonly message: Message;
  readonly sinceMs: number;
}

/** What the hold needs of its replica. */
export interface HoldHost {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** How long a new commit index may wait for company; zero: not at all. */
  readonly holdMs: number;
  /** The last entry that was appended for a command from this peer. */
  passedBy(peer: RaftId): Index;
  /** Sends what was held long enough. */
  release(messages: readonly Message[]): void;
}

/**
 * Keeps back appends that carry nothing but a new commit index: under load the next append has it anyway, and alone it
 * costs both sides a message, an answer and two wake-ups, half of all there are at one operation in flight.
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
    const known = Math.max(told, this.noticed.get(to) ?? 0);
    if (message.entries.length === 0 && message.commit > told && this.host.passedBy(to) <= known) {
      this.hold(message);
      return null;
    }
    // An append sent later in the same term never has a lower commit index.
    this.held.delete(to);
    if (message.commit > told) this.told.set(to, message.commit);
    return message;
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
