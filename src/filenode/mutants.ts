import { makeMutants, type MutantList } from "../mutants/switches.js";

/**
 * Known bugs of a file node, off in production. The simulator and the crash tests switch one on at a time and must
 * notice: a check that finds no planted bug checks nothing.
 */
const DESCRIPTIONS = {
  replyBeforeSync: ["files", "a write is answered before it is on stable storage"],
  noLeaseCheckBeforeReply: ["files", "the node lease is not looked at again before the reply"],
  lateWriteAfterTakeover: [
    "files",
    "what waited behind other writes goes to the kernel without another look at the lease",
  ],
  skipResolution: ["files", "a new owner serves without resolving what the old one left pending"],
  outcomeLost: ["files", "the outcome of an effect is answered but never recorded"],
  createInPlace: [
    "files",
    "a file is created under its own name at once: after a crash nobody can tell whose it is",
  ],
  admitStaleSequence: ["files", "a request of an older channel sequence is executed"],
  ignoreOthersLocks: ["files", "I/O does not look at the byte-range locks of others"],
  ignoreVolatileId: ["files", "only the persistent half of a handle's name is compared"],
  writeBesideCut: [
    "files",
    "a write goes behind the place where an append or a cut of the same node may still be taken back",
  ],
  takenBackForgotten: [
    "files",
    "the repeat of an append that was taken back does not look whether the storage carried it out late",
  ],
  appendAgain: ["files", "an append whose outcome is unknown is written again at the end of the file"],
} as const satisfies MutantList;

/** The name of a planted bug. */
export type FilenodeMutant = keyof typeof DESCRIPTIONS;

const MADE = makeMutants(DESCRIPTIONS);

/** All planted bugs of the file node. */
export const FILENODE_MUTANTS = MADE.list;

/** The switches, read at the dangerous places. */
export const filenodeMutants = MADE.switches;

/** Test hook: plants or removes one bug, in this process, for every node. */
export const setFilenodeMutant = MADE.plant;

/** Test hook: runs `body` with one bug planted, and takes it out again. */
export async function withFilenodeMutant<T>(name: FilenodeMutant, body: () => Promise<T>): Promise<T> {
  filenodeMutants[name] = true;
  try {
    return await body();
  } finally {
    filenodeMutants[name] = false;
  }
}
