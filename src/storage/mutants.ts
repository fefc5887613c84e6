import { makeMutants, type MutantList } from "../mutants/switches.js";

/**
 * Known bugs of a node's storage, off in production. The simulator switches one on at a time and must notice: a check
 * that finds no planted bug checks nothing.
 */
const DESCRIPTIONS = {
  checksumIgnored: ["L22", "a record whose checksum does not match is taken as it is"],
  wipedDiskAdmitted: ["L5", "a peer that comes back with another disk under its old identity is welcome"],
  lostWritesAccepted: ["L21", "a database that ends before its last acknowledged synced batch is opened"],
  fullBatchForgotten: ["L21", "a batch that found no space is acknowledged once there is room, unwritten"],
} as const satisfies MutantList;

/** The name of a planted bug. */
export type StorageMutant = keyof typeof DESCRIPTIONS;

const MADE = makeMutants(DESCRIPTIONS);

/** All planted bugs of the storage. */
export const STORAGE_MUTANTS = MADE.list;

/** The switches, read at the dangerous places. */
export const storageMutants = MADE.switches;

/** Test hook: plants or removes one bug, in this process, for every node. */
export const setStorageMutant = MADE.plant;
