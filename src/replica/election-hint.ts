import type { RaftId } from "../raft/index.js";
import type { Random, Scheduler } from "../runtime/api.js";

/** The first campaign comes within this time after the link broke; spread, so that survivors do not collide. */
const FIRST_SPREAD_MS = 25;
/** Later ones, if no leader was found by then. */
const AGAIN_MIN_MS = 40;
const AGAIN_SPREAD_MS = 60;
/** After that many the election timeout is left to it. */
const CAMPAIGNS_MAX = 5;

/** What the hint needs to know and do. */
export interface HintTarget {
  /** The leader that this member follows; zero for none. */
  leaderId(): RaftId;
  isConnected(peer: RaftId): boolean;
  /** Stop believing in the leader and campaign (with a pre-vote, so that a living leader is not disturbed). */
  campaign(cause: string): void;
  stopped(): boolean;
}

/**
 * A broken link to the leader is a hint that it died: its kernel closes the connections of a killed process within
 * milliseconds, long before an election timeout. It is only a hint. Safety never rests on it, and the others vote only if
 * they too have stopped hearing the leader.
 */
export class ElectionHint {
  private watching: RaftId = 0;
  private campaigns = 0;

  constructor(
    private readonly target: HintTarget,
    private readonly scheduler: Scheduler,
    private readonly random: Random,
  ) {}

  linkBroke(peer: RaftId): void {
    if (peer !== this.target.leaderId() || this.watching === peer) return;
    this.watching = peer;
    this.campaigns = 0;
    this.later(this.random.below(FIRST_SPREAD_MS));
  }

  private later(delayMs: number): void {
    const peer = this.watching;
    this.scheduler.after(delayMs, () => {
      if (this.watching === peer) this.fire(peer);
    });
  }

  private fire(peer: RaftId): void {
    const leader = this.target.leaderId();
    const over = (leader !== 0 && leader !== peer) || this.target.isConnected(peer) || this.target.stopped();
    if (over || this.campaigns >= CAMPAIGNS_MAX) {
      this.watching = 0;
      return;
    }
    this.campaigns++;
    this.target.campaign(`the link to leader ${peer} broke`);
    this.later(AGAIN_MIN_MS + this.random.below(AGAIN_SPREAD_MS));
  }
}
