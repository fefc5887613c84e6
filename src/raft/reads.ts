import { jointIndex } from "./quorum.js";
import type { AckedIndexes } from "./quorum.js";
import type { Config } from "./conf/config.js";
import { broken } from "./invariant.js";
import { mutant } from "./mutants.js";
import type { Index, RaftId } from "./types.js";

/** A read that waits for the leadership to be confirmed. */
export interface PendingRead {
  /** Who asked: this member or a follower. */
  readonly from: RaftId;
  /** The asking member's number. */
  readonly request: number;
  /** Commit index when the read arrived: what its answer must at least show. */
  readonly index: Index;
  /** Confirmed as soon as a quorum has echoed this position or a later one. */
  readonly position: number;
}

/**
 * Reads at a leader. Each round of heartbeats carries a position; an echo of position p says that its sender had not
 * moved to a higher term when it saw a heartbeat sent after all reads up to p arrived. Positions are made here, only grow
 * during one leadership, and are never used again (lesson L40). Lives in the leader's state and dies with it.
 */
export class ReadQueue implements AckedIndexes {
  /** In order of position. */
  private waiting: PendingRead[] = [];
  /** Reads that came before an entry of the own term was committed (lesson L39). */
  private held: { readonly from: RaftId; readonly request: number }[] = [];
  private acks = new Map<RaftId, number>();
  private position = 0;

  /** The highest position given out. */
  get lastPosition(): number {
    return this.position;
  }

  /** What a heartbeat should carry: 0 when nothing waits. */
  get heartbeatPosition(): number {
    return this.waiting.length === 0 ? 0 : this.position;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0 && this.held.length === 0;
  }

  hold(from: RaftId, request: number): void {
    this.held.push({ from, request });
  }

  takeHeld(): readonly { readonly from: RaftId; readonly request: number }[] {
    const held = this.held;
    if (held.length > 0) this.held = [];
    return held;
  }

  /** A new position, for a round that no read waits for (lease). */
  nextPosition(): number {
    return ++this.position;
  }

  add(from: RaftId, request: number, index: Index): void {
    const position = mutant.readPositionReused ? 1 : this.position + 1;
    if (position <= this.position) broken("read positions are never used again", position, this.position);
    this.position = position;
    this.waiting.push({ from, request, index, position });
  }

  /** Records that `from` has echoed `position`. */
  acknowledge(from: RaftId, position: number): void {
    if (position > (this.acks.get(from) ?? 0)) this.acks.set(from, position);
  }

  ackedIndex(id: RaftId): number {
    return this.acks.get(id) ?? 0;
  }

  /** Highest position confirmed by a quorum of both halves. */
  confirmedPosition(config: Config): number {
    return jointIndex(config.incoming, config.outgoing, this);
  }

  /** Takes the reads that are confirmed now. */
  takeConfirmed(config: Config): readonly PendingRead[] {
    if (this.waiting.length === 0) return NO_READS;
    const confirmed = this.confirmedPosition(config);
    let count = 0;
    while (count < this.waiting.length && (this.waiting[count] as PendingRead).position <= confirmed) count++;
    if (count === 0) return NO_READS;
    return this.waiting.splice(0, count);
  }

  /** Everything that waits in any way, for the end of the leadership. */
  takeAll(): readonly { readonly from: RaftId; readonly request: number }[] {
    const all = [...this.waiting, ...this.held];
    this.waiting = [];
    this.held = [];
    return all;
  }

  clone(): ReadQueue {
    const copy = new ReadQueue();
    copy.waiting = this.waiting.slice();
    copy.held = this.held.slice();
    copy.acks = new Map(this.acks);
    copy.position = this.position;
    return copy;
  }

  /** For hashing: everything that can influence the future. */
  fingerprint(): string {
    const acks = [...this.acks].sort((a, b) => a[0] - b[0]).join(";");
    const waiting = this.waiting.map((r) => `${r.from}.${r.request}.${r.index}.${r.position}`).join(";");
    const held = this.held.map((r) => `${r.from}.${r.request}`).join(";");
    return `${this.position}|${acks}|${waiting}|${held}`;
  }
}

const NO_READS: readonly PendingRead[] = Object.freeze([]);
