import type { Prng } from "../sim/prng.js";
import type { KvFaults } from "../sim/sim-disk.js";

/** What one seed draws for a run of the whole product. */
export interface ClusterSettings {
  readonly nodes: number;
  readonly clients: number;
  readonly opsPerSecond: number;
  readonly networkDelayMeanUs: number;
  readonly lossRate: number;
  readonly driftMax: number;
  readonly kv: KvFaults;
  readonly shareMeanUs: number;
  readonly compactEntries: number;
  readonly snapshotChunkBytes: number;
  readonly inflightMessagesMax: number;
  readonly refuseRate: number;
  /** Events a virtual second. */
  readonly killsPerSecond: number;
  readonly powerLossesPerSecond: number;
  readonly powerCutsPerSecond: number;
  readonly pausesPerSecond: number;
  readonly partitionsPerSecond: number;
  readonly diskHangsPerSecond: number;
  readonly shareHangsPerSecond: number;
  readonly diskLowsPerSecond: number;
  readonly transfersPerSecond: number;
  readonly wallJumpsPerSecond: number;
  readonly safetyUs: number;
  /** Clients keep a registration with a node that is not their owner. */
  readonly witness: boolean;
  /** What operators do a virtual second: transfers; cordon, drain and uncordon; changes of members. */
  readonly movesPerSecond: number;
  readonly schedulesPerSecond: number;
  readonly memberChangesPerSecond: number;
  readonly fullDisksPerSecond: number;
}

/** Draws the settings of a run. */
export function drawClusterSettings(prng: Prng): ClusterSettings {
  const maybe = (share: number, max: number): number => {
    const rate = prng.fraction() * max;
    return prng.chance(share) ? rate : 0;
  };
  const tiny = prng.chance(0.4);
  return {
    nodes: prng.pick([1, 3, 3, 3, 3, 5]),
    clients: prng.between(1, 4),
    opsPerSecond: prng.pick([10, 30, 80]),
    networkDelayMeanUs: prng.pick([100, 300, 2000]),
    lossRate: maybe(0.4, 0.05),
    // Leases are promised to hold for clocks whose rates differ by up to a hundredth.
    driftMax: prng.pick([0, 0.002, 0.005]),
    kv: {
      writeMeanUs: 20,
      syncMeanUs: prng.pick([200, 1000, 4000]),
      stallRate: maybe(0.3, 0.01),
      stallMaxUs: prng.pick([50_000, 800_000]),
      syncErrorRate: maybe(0.2, 0.0005),
      tornWriteRate: 0,
    },
    shareMeanUs: prng.pick([30, 300, 3000]),
    compactEntries: tiny ? prng.between(5, 40) : 50_000,
    snapshotChunkBytes: prng.pick([1, 500, 65_536]),
    inflightMessagesMax: prng.pick([1, 4, 256]),
    refuseRate: maybe(0.3, 0.3),
    killsPerSecond: maybe(0.6, 0.15),
    powerLossesPerSecond: maybe(0.4, 0.1),
    powerCutsPerSecond: maybe(0.15, 0.04),
    pausesPerSecond: maybe(0.5, 0.15),
    partitionsPerSecond: maybe(0.5, 0.2),
    diskHangsPerSecond: maybe(0.2, 0.1),
    shareHangsPerSecond: maybe(0.15, 0.05),
    diskLowsPerSecond: maybe(0.2, 0.1),
    transfersPerSecond: maybe(0.4, 0.3),
    wallJumpsPerSecond: maybe(0.3, 0.3),
    safetyUs: prng.pick([10, 20, 30]) * 1_000_000,
    // Drawn after everything else: a seed of the time before keeps what it drew then.
    witness: prng.chance(0.5),
    movesPerSecond: maybe(0.35, 0.6),
    schedulesPerSecond: maybe(0.25, 0.4),
    memberChangesPerSecond: maybe(0.25, 0.6),
    fullDisksPerSecond: maybe(0.2, 0.15),
  };
}
