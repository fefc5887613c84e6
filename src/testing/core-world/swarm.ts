import { NO_LIMIT } from "../../raft/index.js";
import type { NetworkFaults } from "../sim/network.js";
import type { Prng } from "../sim/prng.js";
import type { DiskFaults } from "./core-disk.js";
import type { ExtraFaults } from "./extra-faults.js";

/** Settings with the extra faults drawn beside them. */
export interface CoreSettings extends DrawnSettings {
  readonly extra: ExtraFaults;
}

/** Everything that one seed draws before a run: which faults exist at all, at what rate, and every limit. */
export interface DrawnSettings {
  readonly voters: number;
  readonly learners: number;
  readonly startIndex: number;
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** By member: settings may differ between members, as during a rolling change (lesson L1). */
  readonly preVote: (id: number) => boolean;
  readonly checkQuorum: (id: number) => boolean;
  readonly readMode: "read-index" | "lease";
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
  readonly committedBytesMax: number;
  readonly compactEvery: number;
  readonly logKept: number;
  readonly network: NetworkFaults;
  readonly disk: DiskFaults;
  /** Clocks run at 1 + [-driftMax, driftMax]. */
  readonly driftMax: number;
  snapshotFailRate: number;
  snapshotMaxUs: number;
  slowApplyRate: number;
  slowApplyMaxUs: number;
  /** Chance of a crash at each point between two effects. */
  crashBetweenRate: number;
  /** Events a virtual second. */
  readonly crashesPerSecond: number;
  readonly powerCutsPerSecond: number;
  readonly pausesPerSecond: number;
  readonly partitionsPerSecond: number;
  readonly clogsPerSecond: number;
  readonly resetsPerSecond: number;
  readonly diskHangsPerSecond: number;
  readonly clockLeapsPerSecond: number;
  readonly wipesPerSecond: number;
  readonly confChangesPerSecond: number;
  readonly transfersPerSecond: number;
  readonly hintsPerSecond: number;
  readonly clients: number;
  readonly thinkMeanUs: number;
  readonly readShare: number;
  readonly paddingMax: number;
  readonly safetyUs: number;
}

/** Draws the settings of a run. */
export function drawSettings(prng: Prng): DrawnSettings {
  /** A fault that exists in this share of the seeds, at a rate drawn up to `max`. */
  const maybe = (share: number, max: number): number => {
    const rate = prng.fraction() * max;
    return prng.chance(share) ? rate : 0;
  };
  const lease = prng.chance(0.25);
  const electionTicks = prng.pick([10, 15, 15, 20]);
  const mixed = prng.chance(0.2);
  const offRate = prng.fraction();
  const offs = Array.from({ length: 64 }, () => prng.chance(offRate));
  const plainOff = prng.chance(0.1);
  const appendBytesMax = prng.pick([0, 1, 64, 1024, 65536, NO_LIMIT]);
  const drawnWindow = prng.pick([1, 100, 4096, NO_LIMIT, NO_LIMIT]);
  const tiny = prng.chance(0.4);
  return {
    voters: prng.pick([1, 2, 3, 3, 3, 3, 4, 5, 5, 7]),
    learners: prng.chance(0.25) ? prng.between(1, 2) : 0,
    startIndex: prng.pick([1, 2, 5, 2 ** 31 - 10, 2 ** 53 - 1_000_000]),
    tickMs: 20,
    electionTicks,
    heartbeatTicks: prng.pick([1, 3, 3]),
    preVote: (id) => !(mixed ? offs[id % 32] : plainOff),
    checkQuorum: (id) => lease || !(mixed ? offs[32 + (id % 32)] : plainOff),
    readMode: lease ? "lease" : "read-index",
    appendBytesMax,
    inflightMessagesMax: prng.pick([1, 1, 2, 16, 256]),
    inflightBytesMax: appendBytesMax === NO_LIMIT ? NO_LIMIT : Math.max(appendBytesMax, drawnWindow),
    uncommittedBytesMax: prng.pick([1, 50, 1000, NO_LIMIT, NO_LIMIT]),
    committedBytesMax: prng.pick([1, 100, 65536, NO_LIMIT]),
    compactEvery: tiny ? prng.between(1, 4) : prng.pick([30, 200, 1_000_000]),
    logKept: tiny ? prng.between(0, 3) : prng.pick([0, 10, 50]),
    network: {
      delayBaseUs: prng.pick([50, 200, 1000]),
      delayMeanUs: prng.pick([50, 300, 3000, 15_000]),
      lossRate: maybe(0.6, 0.2),
      duplicateRate: maybe(0.5, 0.2),
      replayRate: maybe(0.4, 0.02),
      replayDelayMaxUs: prng.pick([300_000, 5_000_000]),
      ordered: prng.chance(0.3),
    },
    disk: {
      syncMeanUs: prng.pick([100, 1000, 8000]),
      stallRate: maybe(0.4, 0.02),
      stallMaxUs: prng.pick([50_000, 1_500_000]),
      syncErrorRate: maybe(0.25, 0.001),
      noticeMaxUs: 0,
      tornWriteRate: 0,
    },
    // Leases lean on clocks whose rates differ by no more than what was subtracted from their duration.
    driftMax: lease ? 0.01 : prng.pick([0, 0.01, 0.1, 0.3]),
    snapshotFailRate: maybe(0.3, 0.5),
    snapshotMaxUs: prng.pick([2000, 50_000, 800_000]),
    slowApplyRate: maybe(0.4, 0.1),
    slowApplyMaxUs: prng.pick([20_000, 700_000]),
    crashBetweenRate: maybe(0.5, 0.002),
    crashesPerSecond: maybe(0.6, 0.6),
    powerCutsPerSecond: maybe(0.2, 0.1),
    pausesPerSecond: maybe(0.5, 0.4),
    partitionsPerSecond: maybe(0.7, 0.6),
    clogsPerSecond: maybe(0.3, 0.5),
    resetsPerSecond: maybe(0.4, 1),
    diskHangsPerSecond: maybe(0.3, 0.2),
    clockLeapsPerSecond: lease ? 0 : maybe(0.3, 0.3),
    wipesPerSecond: maybe(0.25, 0.1),
    confChangesPerSecond: maybe(0.6, 1.5),
    transfersPerSecond: maybe(0.5, 0.7),
    hintsPerSecond: maybe(0.3, 0.6),
    clients: prng.between(1, 6),
    thinkMeanUs: prng.pick([2000, 10_000, 40_000]),
    readShare: prng.pick([0.2, 0.5, 0.8]),
    paddingMax: prng.pick([0, 40, 400]),
    safetyUs: prng.pick([6, 10, 15, 25]) * 1_000_000,
  };
}

/** The settings as text: printed with a failing seed. */
export function describeSettings(settings: CoreSettings, ids: readonly number[]): string {
  const plain = {
    ...settings,
    preVote: ids.map(settings.preVote),
    checkQuorum: ids.map(settings.checkQuorum),
  };
  return JSON.stringify(plain, (_key, value: unknown) => {
    return typeof value === "number" && !Number.isInteger(value) ? Number(value.toFixed(4)) : value;
  });
}
