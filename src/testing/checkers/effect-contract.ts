import { type Message, MessageKind } from "../../raft/index.js";
import { Violation } from "../sim/simulation.js";
import type { DiskView } from "./disk-view.js";

/**
 * The effect contract, seen from outside: the network asks the sender's disk. No message leaves that promises what the
 * disk would not remember after a crash at this moment (lessons L5, L10, L18, L20, L21).
 */
export class EffectContract {
  /** By the term of a leader, the terms of the entries that it has sent, by index: its log, as far as it was seen. */
  private readonly sent = new Map<number, Map<number, number>>();
  /** How far the appends of a term have brought its leader's log to a member. */
  private readonly brought = new Map<string, number>();

  /** A message has reached its receiver. */
  delivered({ kind, to, term, index, entries }: Message): void {
    if (kind !== MessageKind.Append) return;
    const key = `${to}/${term}`;
    this.brought.set(key, Math.max(this.brought.get(key) ?? 0, index + entries.length));
  }

  /** `message` is leaving; `disk` is its sender's. */
  leaves(message: Message, disk: DiskView): void {
    switch (message.kind) {
      case MessageKind.AppendResponse:
        this.termDurable(message, disk);
        if (!message.reject) this.acknowledgedDurable(message, disk);
        return;
      case MessageKind.VoteResponse:
        this.termDurable(message, disk);
        if (!message.reject && disk.term === message.term && disk.vote !== message.to) {
          this.broken(
            message,
            `votes for ${message.to} in term ${message.term}, its disk has vote ${disk.vote}`,
          );
        }
        return;
      case MessageKind.Vote:
        this.termDurable(message, disk);
        if (disk.term === message.term && disk.vote !== message.from) {
          this.broken(message, `campaigns in term ${message.term}, its disk has vote ${disk.vote}`);
        }
        this.logDurable(message, disk);
        return;
      case MessageKind.PreVote:
        this.logDurable(message, disk);
        return;
      case MessageKind.Append:
        this.termDurable(message, disk);
        this.remember(message);
        return;
      case MessageKind.Durable:
        this.termDurable(message, disk);
        if (message.index > disk.lastIndex)
          this.broken(message, `says that its disk has ${message.index}, which ends at ${disk.lastIndex}`);
        return;
      case MessageKind.Heartbeat:
      case MessageKind.Snapshot:
      case MessageKind.TimeoutNow:
        this.termDurable(message, disk);
        return;
      default:
        return;
    }
  }

  private termDurable(message: Message, disk: DiskView): void {
    if (disk.term < message.term) {
      this.broken(message, `speaks for term ${message.term}, its disk knows term ${disk.term}`);
    }
  }

  private remember(append: Message): void {
    let log = this.sent.get(append.term);
    if (log === undefined) this.sent.set(append.term, (log = new Map()));
    log.set(append.index, append.logTerm);
    for (const { index, term } of append.entries) log.set(index, term);
  }

  /**
   * An acknowledgement says: up to there my log on disk is that of this term's leader. So the entry itself is asked for, with
   * the term that it has at that leader, and not only whether the log is so long.
   *
   * In the term of the acknowledgement nothing that it covers can go again. A leader of a later term may replace it, on
   * disks that sync in groups or whose completions are noticed late even before the acknowledgement leaves; then the log
   * on disk is that leader's work. It was elected without it and could not have been, had a majority accepted it in the
   * term before: it can never be committed, and the acknowledgement is worth as much as one that the network kept for so
   * long. That none of them counts is for the check of commits against the disks. But the entry must have been there; or,
   * where one turn took the appends of both leaders and wrote only what the later one left of them, it must have come.
   */
  private acknowledgedDurable(message: Message, disk: DiskView): void {
    const { index, term } = message;
    if (index > disk.lastIndex && disk.logWrittenInTerm <= term)
      this.broken(message, `acknowledges ${index}, its disk ends at ${disk.lastIndex}`);
    const due = this.sent.get(term)?.get(index);
    if (due === undefined || index <= disk.snapshotIndex) return;
    const replaced = disk.logWrittenInTerm > term;
    const came = index <= (this.brought.get(`${message.from}/${term}`) ?? 0);
    if (!disk.everHeld(index, due) && !(replaced && came))
      this.broken(message, `acknowledges ${due}/${index}, which was never on its disk`);
    if (disk.termAt(index) !== due && !replaced)
      this.broken(message, `acknowledges ${due}/${index}, its disk has term ${disk.termAt(index)} there`);
  }

  private logDurable(message: Message, disk: DiskView): void {
    // What was durable once and was replaced since is no broken promise: a newer leader's entries took its place.
    if (disk.everHeld(message.index, message.logTerm)) return;
    this.broken(message, `advertises ${message.logTerm}/${message.index}, which was never on its disk`);
  }

  private broken(message: Message, what: string): never {
    throw new Violation(
      "effect contract",
      `message of kind ${message.kind} from member ${message.from} to ${message.to} ${what}`,
    );
  }
}
