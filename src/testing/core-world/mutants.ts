import { makeMutants, type MutantList } from "../../mutants/switches.js";

/**
 * Planted bugs of the storage under a core, in the simulated disk: what the real storage must never do, to show that the
 * checkers of the core world would notice.
 */
const DESCRIPTIONS = {
  rotServed: ["L22", "a block whose checksum does not match is handed to the core as it is"],
  rotCutAsTorn: ["L22", "a rotten record in the middle of the log is cut off like a torn tail"],
  tornTailServed: ["L22", "the last record of the log is taken although only a part of it was written"],
  suffixMixed: [
    "L23",
    "of entries that are replaced, those stay that have an index in common with the new ones",
  ],
  truncationForgotten: ["L23", "entries that were replaced come back after a restart"],
  appliedApart: ["L24", "the applied index survives a crash that loses the state it describes"],
  syncErrorIgnored: ["L21", "a failed sync is taken for a good one, and the writes under it are lost"],
} as const satisfies MutantList;

const MADE = makeMutants(DESCRIPTIONS);

/** Name of a planted bug. */
export type DiskMutant = keyof typeof DESCRIPTIONS;

/** All planted bugs of the simulated disk. */
export const DISK_MUTANTS = MADE.list;

/** The switches, read by the disk. */
export const diskMutant = MADE.switches;

/** Test hook: plants or removes one bug, in this process, for every disk. */
export const setDiskMutant = MADE.plant;
