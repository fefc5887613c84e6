import { filenodeMutants } from "./mutants.js";

/** An append, a cut or an overwrite that this node has under way. Writes that go beyond `from` wait for its end. */
export interface TailHold {
  from: number;
  /**
   * True while its announcement is parked: it may wait for a lease break, and the holder of the lease has writes to send
   * before it can acknowledge. Until then the state says who may write.
   */
  readonly parked: () => boolean;
}

/** The end of a file as the cluster has closed it for a call of some node. */
interface ClosedTail {
  readonly from: number;
  /** When this node heard of it. The state's word of a later revision that a write may go on is newer. */
  readonly revision: number;
  /** Whether the call behind it is known to the log at all is not known: only the state can say. */
  readonly doubtful: boolean;
}

/**
 * Who may write at the end of a file just now. Resolving an append, a cut or an overwrite may cut the file, and whoever
 * wrote behind that place in the meantime would lose what was answered as written (semantics.md C4). So while one of them
 * has no outcome, plain writes that end beyond the place wait: for this node's own it is known when they end, for all
 * others the state is asked.
 */
export class FileTail {
  private readonly holds = new Set<TailHold>();
  private closed: ClosedTail | null = null;
  private waiters: (() => void)[] = [];

  /** Closes the whole file at this node, until the caller knows from where on it has to be closed. */
  hold(parked: () => boolean): TailHold {
    const hold = { from: 0, parked };
    this.holds.add(hold);
    return hold;
  }

  /** From here on only. */
  narrow(hold: TailHold, from: number): void {
    hold.from = from;
    this.changed();
  }

  /** The effect has its outcome, or was never announced. */
  release(hold: TailHold): void {
    this.holds.delete(hold);
    this.changed();
  }

  /** Nobody here knows whether the effect is, or will be, announced: the next write asks. */
  doubt(hold: TailHold, revision: number): void {
    this.close(hold.from, revision, true);
    this.release(hold);
  }

  /** The cluster closes the file from here on, for a call of another node or of an earlier life of this one. */
  close(from: number, revision: number, doubtful = false): void {
    const before = this.closed;
    this.closed = {
      from: Math.min(from, before?.from ?? from),
      revision: Math.max(revision, before?.revision ?? 0),
      doubtful: doubtful || (before?.doubtful ?? false),
    };
  }

  /** An effect on the file has its outcome: there is one at a time, and it was the one that closed the tail. */
  ended(revision: number): void {
    if (this.closed === null || this.closed.doubtful || this.closed.revision >= revision) return;
    this.closed = null;
    this.changed();
  }

  /** The state has let a write go at this revision: the tail is open, or closed from `from` on, whatever was heard before. */
  opened(revision: number, from: number | null): void {
    if (this.closed === null || this.closed.revision >= revision) return;
    this.closed = from === null ? null : { from, revision, doubtful: false };
  }

  /** What a write that ends there has to wait for; null: nothing. `allowed`: the state has let it go just now. */
  against(end: number, allowed = false): "here" | "elsewhere" | null {
    if (filenodeMutants.writeBesideCut) return null;
    let parked = false;
    for (const hold of this.holds) {
      if (hold.from >= end) continue;
      if (!hold.parked()) return "here";
      parked = true;
    }
    if (parked && !allowed) return "elsewhere";
    return this.closed !== null && this.closed.from < end ? "elsewhere" : null;
  }

  /** Resolves at the next change, or when somebody has a reason to look again. */
  change(): Promise<void> {
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  /** Lets all who wait look again. */
  changed(): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const wake of waiters) wake();
  }
}
