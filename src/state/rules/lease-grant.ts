import { mutant } from "../mutants.js";
import { isLeaseState, LeaseBit, type LeaseState } from "./lease-state.js";

/** What a lease request meets. */
export interface GrantSituation {
  /** Bits asked for, any combination. */
  readonly asked: number;
  /** Present state of the same lease; null: there is none yet. */
  readonly held: LeaseState | null;
  /** The same lease is being broken: nothing changes until that is over. */
  readonly breaking: boolean;
  readonly directory: boolean;
  /** The most that the share allows. */
  readonly mask: number;
  /** Another open than those of this lease, with data or delete rights. */
  readonly otherOpens: boolean;
  /** States of the other leases on the file, as they will be after breaks under way. */
  readonly otherLeases: readonly LeaseState[];
  /** Byte-range locks of opens outside this lease. */
  readonly otherLocks: boolean;
  readonly deleteMarked: boolean;
}

/** Whether a kind of lease may stand beside another lease (semantics.md F3, Grant). */
const COEXISTS: Record<LeaseState, Record<LeaseState, boolean>> = {
  0: { 0: true, 1: true, 3: true, 5: true, 7: true },
  1: { 0: true, 1: true, 3: true, 5: false, 7: false },
  3: { 0: true, 1: true, 3: true, 5: false, 7: false },
  5: { 0: true, 1: false, 3: false, 5: false, 7: false },
  7: { 0: true, 1: false, 3: false, 5: false, 7: false },
};

/** Result of asking for more while holding something: supersets only, never less. */
const UPGRADES: Record<LeaseState, Record<LeaseState, LeaseState>> = {
  0: { 0: 0, 1: 1, 3: 3, 5: 5, 7: 7 },
  1: { 0: 1, 1: 1, 3: 3, 5: 5, 7: 7 },
  3: { 0: 3, 1: 3, 3: 3, 5: 3, 7: 7 },
  5: { 0: 5, 1: 5, 3: 5, 5: 5, 7: 7 },
  7: { 0: 7, 1: 7, 3: 7, 5: 7, 7: 7 },
};

/** What is tried when a state cannot be had: without W, then without H, then nothing. */
const FALLBACKS: Record<LeaseState, readonly LeaseState[]> = {
  0: [0],
  1: [1, 0],
  3: [3, 1, 0],
  5: [5, 1, 0],
  7: [7, 3, 1, 0],
};

/** The state that a lease gets. */
export function grantLease(situation: GrantSituation): LeaseState {
  const held = situation.held ?? 0;
  if (situation.breaking) return held;
  const allowed =
    situation.asked &
    situation.mask &
    (situation.directory && !mutant.directoryLeasedForWriting ? ~LeaseBit.write : 7);
  // H, W or HW without R are no states; what the share masks away leaves R or RH, which are.
  if (!isLeaseState(situation.asked) || !isLeaseState(allowed)) return held;
  for (const state of FALLBACKS[UPGRADES[held][allowed]]) {
    if ((state & held) !== held) break;
    if (possible(state, situation)) return state;
  }
  return held;
}

function possible(state: LeaseState, situation: GrantSituation): boolean {
  if (state === 0) return true;
  if ((state & LeaseBit.write) !== 0 && situation.otherOpens) return false;
  if ((state & LeaseBit.handle) !== 0 && situation.deleteMarked) return false;
  if (situation.otherLocks) return false;
  return situation.otherLeases.every((other) => COEXISTS[state][other]);
}
