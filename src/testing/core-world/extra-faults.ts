import type { Prng } from "../sim/prng.js";

/**
 * Faults that a seed draws beside its settings, from a stream of their own: seeds recorded before these existed still
 * draw the same settings, and replay as they did when the extra faults are left out.
 */
export interface ExtraFaults {
  /** Overrides the number of voters; 0 leaves it. */
  readonly voters: number;
  /** Inputs wait up to this long for a turn in common, as in the loop of a real node. */
  readonly turnMaxUs: number;
  /** The end of a sync is noticed up to this much later than it happened. */
  readonly noticeMaxUs: number;
  /** Chance that a rejection is answered with a lower hint than need be, as by a member of another version. */
  readonly bluntHintRate: number;
  /** Chance that an append begins further back than need be and carries little, as from a leader of another version. */
  readonly backwardAppendRate: number;
  /** Chance that a crash leaves the first lost write half written. */
  readonly tornWriteRate: number;
  /** Events a virtual second. */
  readonly linkCutsPerSecond: number;
  readonly bitRotPerSecond: number;
  readonly diskFullPerSecond: number;
  /** A member is removed, emptied, and added again under its id. */
  readonly renewalsPerSecond: number;
  /** A transfer whose order to campaign comes late, while the leader hears nobody. */
  readonly lateTransfersPerSecond: number;
  /** With lease reads: all acknowledgements to a leader are held back, arrive together, and are the last it hears. */
  readonly lateAcknowledgementsPerSecond: number;
  /** Chance that a write is also awaited by a client of another member. */
  readonly awaitedRate: number;
}

/** Nothing extra. */
export const NO_EXTRA_FAULTS: ExtraFaults = {
  voters: 0,
  turnMaxUs: 0,
  noticeMaxUs: 0,
  bluntHintRate: 0,
  backwardAppendRate: 0,
  tornWriteRate: 0,
  linkCutsPerSecond: 0,
  bitRotPerSecond: 0,
  diskFullPerSecond: 0,
  renewalsPerSecond: 0,
  lateTransfersPerSecond: 0,
  lateAcknowledgementsPerSecond: 0,
  awaitedRate: 0,
};

/** Draws the extra faults of a run. */
export function drawExtraFaults(prng: Prng): ExtraFaults {
  const maybe = (share: number, max: number): number => {
    const rate = prng.fraction() * max;
    return prng.chance(share) ? rate : 0;
  };
  return {
    voters: prng.chance(0.06) ? 6 : 0,
    turnMaxUs: prng.pick([0, 0, 500, 20_000]),
    noticeMaxUs: prng.pick([0, 0, 2000, 300_000]),
    bluntHintRate: maybe(0.4, 1),
    tornWriteRate: maybe(0.5, 1),
    linkCutsPerSecond: maybe(0.5, 2),
    bitRotPerSecond: maybe(0.25, 0.3),
    diskFullPerSecond: maybe(0.2, 0.2),
    renewalsPerSecond: maybe(0.3, 1),
    lateTransfersPerSecond: maybe(0.3, 1.5),
    backwardAppendRate: maybe(0.4, 0.5),
    lateAcknowledgementsPerSecond: maybe(0.6, 1),
    awaitedRate: maybe(0.6, 1),
  };
}
