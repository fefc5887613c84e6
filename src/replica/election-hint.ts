import type { RaftId, Role, Term } from "../raft/index.js";
import type { Random, Scheduler } from "../runtime/api.js";

/** The first in line campaigns within this time after the link broke. */
const FIRST_SPREAD_MS = 5;
/** Each place further back waits this much longer, so that one candidate usually has the field to itself. */
const RANK_STEP_MS = 60;
/** A pre-vote is asked for again after this time: the others may not have noticed the broken link yet. */
const AGAIN_MIN_MS = 20;
const AGAIN_SPREAD_MS = 20;
/** A vote that waits for disks is left alone for this long, and so is somebody else's election. */
const ELECTION_MS = 150;
/** After that long the election timeout is left to it. */
const GIVE_UP_MS = 1_000;

/** What the hint needs to know and do. */
export interface HintTarget {
  nowMs(): number;
  /** The leader that this member follows; zero for none. */
  leaderId(): RaftId;
  /** Place of this member among those who may follow the leader, from zero; -1: it has no vote. */
  rankAfter(leader: RaftId): number;
  /** As the core has it now; a reader of effects learns of it a turn later. */
  situation(): { readonly role: Role; readonly term: Term; readonly leader: RaftId };
  isConnected(peer: RaftId): boolean;
  /** Stop believing in the leader, so that others may get this member's vote. */
  forgetLeader(): void;
  /** With a pre-vote, so that a living leader is not disturbed. */
  campaign(cause: string): void;
  stopped(): boolean;
}

/**
 * A broken link to the leader is a hint that it died: its kernel closes the connections of a killed process within
 * milliseconds, long before an election timeout. It is only a hint. Safety never rests on it: candidates still need
 * votes of a majority, and a leader that lives wins its followers back with the next heartbeat.
 */
export class ElectionHint {
  private watching: RaftId = 0;
  private sinceMs = 0;
  private lastTerm: Term = 0;
  private candidateSinceMs = 0;

  constructor(
    private readonly target: HintTarget,
    private readonly scheduler: Scheduler,
    private readonly random: Random,
  ) {}

  linkBroke(peer: RaftId): void {
    const { target } = this;
    if (peer === 0 || peer !== target.leaderId() || this.watching === peer || target.stopped()) return;
    const rank = target.rankAfter(peer);
    target.forgetLeader();
    if (rank < 0) return;
    this.watching = peer;
    this.sinceMs = target.nowMs();
    this.lastTerm = target.situation().term;
    this.later(rank * RANK_STEP_MS + this.random.below(FIRST_SPREAD_MS));
  }

  private later(delayMs: number): void {
    const peer = this.watching;
    this.scheduler.after(delayMs, () => {
      if (this.watching === peer) this.fire(peer);
    });
  }

  private fire(peer: RaftId): void {
    const { target } = this;
    const now = target.nowMs();
    const { role, term, leader } = target.situation();
    const back = leader !== 0 || target.isConnected(peer) || target.stopped();
    if (back || now - this.sinceMs > GIVE_UP_MS) {
      this.watching = 0;
      return;
    }
    const wait = role === "candidate" ? this.ownElection(now) : this.othersElection(term);
    if (wait > 0) return this.later(wait);
    this.candidateSinceMs = 0;
    target.campaign(`the link to leader ${peer} broke`);
    this.later(AGAIN_MIN_MS + this.random.below(AGAIN_SPREAD_MS));
  }

  /** How long the votes that were asked for get before they are asked for anew. */
  private ownElection(nowMs: number): number {
    if (this.candidateSinceMs === 0) this.candidateSinceMs = nowMs;
    this.lastTerm = this.target.situation().term;
    return nowMs - this.candidateSinceMs < ELECTION_MS ? AGAIN_MIN_MS : 0;
  }

  /** Somebody else's term began: it gets time to win. */
  private othersElection(term: Term): number {
    if (term <= this.lastTerm) return 0;
    this.lastTerm = term;
    return ELECTION_MS + this.random.below(AGAIN_SPREAD_MS);
  }
}
