import { type Message, MessageKind } from "../../raft/index.js";
import { Violation } from "../sim/simulation.js";
import type { DiskView } from "./disk-view.js";

/**
 * The effect contract, seen from outside: the network asks the sender's disk. No message leaves that promises what the
 * disk would not remember after a crash at this moment (lessons L5, L10, L18, L20, L21).
 */
export class EffectContract {
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

  /**
   * In the term of the acknowledgement nothing that it covers can go again. A leader of a later term may replace it, on
   * disks that sync in groups or whose completions are noticed late even before the acknowledgement leaves; then the log
   * on disk is that leader's work. It was elected without it and could not have been, had a majority accepted it in the
   * term before: it can never be committed, and the acknowledgement is worth as much as one that the network kept for so
   * long. That none of them counts is for the check of commits against the disks.
   */
  private acknowledgedDurable(message: Message, disk: DiskView): void {
    if (message.index <= disk.lastIndex || disk.logWrittenInTerm > message.term) return;
    this.broken(message, `acknowledges ${message.index}, its disk ends at ${disk.lastIndex}`);
  }

  private logDurable(message: Message, disk: DiskView): void {
    // What was durable once and was truncated since is no broken promise: a newer leader's entries took its place.
    if (disk.everDurableIndex < message.index) {
      this.broken(
        message,
        `advertises ${message.logTerm}/${message.index}, its disk never went beyond ${disk.everDurableIndex}`,
      );
    }
  }

  private broken(message: Message, what: string): never {
    throw new Violation(
      "effect contract",
      `message of kind ${message.kind} from member ${message.from} to ${message.to} ${what}`,
    );
  }
}
