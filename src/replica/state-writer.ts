import type { ConfState, Index, RaftMember, Term } from "../raft/index.js";
import type { StateMachine } from "../state/index.js";
import type { Clock } from "../runtime/api.js";
import type { ReplicaConfig } from "./config.js";
import type { ReplicaStorage } from "./storage.js";

/** Up to where the state machine in memory has applied, and the configuration there. */
export interface AppliedPosition {
  index: Index;
  term: Term;
  confState: ConfState;
  confIndex: Index;
}

/** The term of each applied index, as the few places where it changes. */
export class TermStarts {
  private starts: { readonly index: Index; readonly term: Term }[] = [];

  /** Indices ascend; a term that is already known changes nothing. */
  note(index: Index, term: Term): void {
    const last = this.starts[this.starts.length - 1];
    if (last === undefined || term > last.term) this.starts.push({ index, term });
  }

  at(index: Index): Term {
    for (let i = this.starts.length - 1; i >= 0; i--) {
      const start = this.starts[i] as { index: Index; term: Term };
      if (start.index <= index) return start.term;
    }
    throw new Error(`invariant: the term of applied index ${index} is known`);
  }

  forgetBefore(index: Index): void {
    while (this.starts.length > 1 && (this.starts[1] as { index: Index }).index <= index) this.starts.shift();
  }

  reset(index: Index, term: Term): void {
    this.starts = [{ index, term }];
  }
}

/**
 * Carries what was applied to the disk, off the way of the answers: at most one batch is under way, and what changes
 * meanwhile collects. A record that changes often is so written once for many changes. What is not written yet at a
 * crash is applied again from the log, which is cut only behind what is written.
 */
export class StateWriter {
  private underWay = false;
  private writtenIndex: Index;
  private lastStartMs = -Infinity;
  private cutIndex: Index;
  private bytesSinceCut = 0;
  private idle: (() => void)[] = [];
  private suspended = false;

  constructor(
    private readonly config: ReplicaConfig,
    private readonly clock: Clock,
    private readonly storage: ReplicaStorage,
    private readonly raft: RaftMember,
    private readonly position: AppliedPosition,
    private readonly machine: () => StateMachine,
    private readonly fail: (error: Error) => void,
    private readonly terms: TermStarts,
    cutIndex: Index,
  ) {
    this.writtenIndex = position.index;
    this.cutIndex = cutIndex;
  }

  /** Index of the newest state on disk. */
  get written(): Index {
    return this.writtenIndex;
  }

  /** Boundary of the log: entries up to here are gone. */
  get cut(): Index {
    return this.cutIndex;
  }

  /** An entry of so many bytes was applied. */
  note(bytes: number): void {
    this.bytesSinceCut += bytes;
  }

  /** Writes if it is time to; called after each slice of applying and at each tick. */
  maybeWrite(): void {
    const behind = this.position.index - this.writtenIndex;
    if (behind <= 0 || this.underWay || this.suspended) return;
    const now = this.clock.monotonicMs();
    if (behind < this.config.stateWriteEntries && now - this.lastStartMs < this.config.stateWriteIntervalMs)
      return;
    this.write(now);
  }

  private write(nowMs: number): void {
    const { index, term, confState, confIndex } = this.position;
    const mark = { index, term, confState, confIndex };
    this.underWay = true;
    this.lastStartMs = nowMs;
    this.storage.writeState(this.machine().takeDirty(), mark, (error) => {
      this.underWay = false;
      if (error !== null) return this.fail(error);
      if (mark.index > this.writtenIndex && !this.suspended) {
        this.writtenIndex = mark.index;
        this.raft.offerSnapshot(mark);
        this.maybeCut(mark.index);
      }
      if (this.idle.length > 0) this.writeRest();
    });
  }

  /** Resolves when everything that is applied is on disk. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.idle.push(resolve);
      if (!this.underWay) this.writeRest();
    });
  }

  private writeRest(): void {
    if (this.position.index > this.writtenIndex && !this.suspended)
      return this.write(this.clock.monotonicMs());
    const waiting = this.idle;
    this.idle = [];
    for (const resolve of waiting) resolve();
  }

  /** Forgets log that the state on disk covers, but keeps some for followers that are a little behind. */
  private maybeCut(written: Index): void {
    const { compactEntries, compactBytes, compactKeepEntries } = this.config;
    const upTo = written - compactKeepEntries;
    const due = upTo - this.cutIndex >= compactEntries || this.bytesSinceCut >= compactBytes;
    if (!due || upTo <= this.cutIndex) return;
    const cut = this.raft.compact(upTo);
    if (cut <= this.cutIndex) return;
    this.bytesSinceCut = 0;
    this.cutIndex = cut;
    this.storage.compactLog(cut, this.terms.at(cut));
    this.terms.forgetBefore(cut);
  }

  /** A snapshot is about to replace the state on disk: nothing of the old one may be written after it. */
  suspend(): void {
    this.suspended = true;
  }

  /** A snapshot replaced the state on disk. */
  installed(index: Index): void {
    this.suspended = false;
    this.writtenIndex = index;
    this.cutIndex = index;
    this.bytesSinceCut = 0;
  }
}
