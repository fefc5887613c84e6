import { filenodeMutants } from "./mutants.js";

/** Handed out at admission and given back at the answer; null for a request that is not counted. */
export type SequenceTicket = { readonly generation: number } | null;

/** What became of a request's channel sequence. */
export interface Admission {
  readonly admitted: boolean;
  readonly ticket: SequenceTicket;
  /** The request was the first of a newer sequence, which has to be recorded before a modifying one is executed. */
  readonly advanced: boolean;
}

const REFUSED: Admission = { admitted: false, ticket: null, advanced: false };
const UNCOUNTED: Admission = { admitted: true, ticket: null, advanced: false };

/**
 * The channel sequence table of one handle (semantics.md B4, the strict form). A client raises its sequence when it
 * loses a channel. A modifying request of an older sequence is never admitted, a replayed one only when no older one is
 * still executing: so a delayed original can neither run after its replay nor mix with it. Reads are never refused.
 *
 * The counters belong to this owner and start at zero with it; the sequence itself is in the replicated state.
 */
export class ChannelSequence {
  private generation = 0;
  private outstanding = 0;
  private outstandingBefore = 0;

  constructor(private sequence: number) {}

  get current(): number {
    return this.sequence;
  }

  admit(sequence: number, replay: boolean, modifying: boolean): Admission {
    const ahead = (sequence - this.sequence) & 0xffff;
    if (ahead > 0x7fff && !filenodeMutants.admitStaleSequence) return modifying ? REFUSED : UNCOUNTED;
    if (ahead === 0 || ahead > 0x7fff) {
      if (replay && modifying && this.outstandingBefore > 0) return REFUSED;
      this.outstanding += 1;
      return { admitted: true, ticket: { generation: this.generation }, advanced: false };
    }
    this.outstandingBefore += this.outstanding;
    this.outstanding = 0;
    this.sequence = sequence;
    this.generation += 1;
    if (replay && modifying && this.outstandingBefore > 0)
      return { admitted: false, ticket: null, advanced: true };
    this.outstanding = 1;
    return { admitted: true, ticket: { generation: this.generation }, advanced: true };
  }

  /** At the answer. A generation is told apart by number, since sequences come round again under a long call. */
  release(ticket: SequenceTicket): void {
    if (ticket === null) return;
    if (ticket.generation === this.generation) this.outstanding -= 1;
    else this.outstandingBefore -= 1;
  }
}
