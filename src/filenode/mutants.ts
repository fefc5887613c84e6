/**
 * Known bugs of a file node, off in production. The simulator and the crash tests switch one on at a time and must
 * notice: a check that finds no planted bug checks nothing.
 */
export const filenodeMutants = {
  /** A write is answered before it is on stable storage. */
  replyBeforeSync: false,
  /** The node lease is not looked at again before the reply. */
  noLeaseCheckBeforeReply: false,
  /** What waited behind other writes goes to the kernel without another look at the lease. */
  lateWriteAfterTakeover: false,
  /** A new owner serves without resolving what the old one left pending. */
  skipResolution: false,
  /** The outcome of an effect is answered but never recorded. */
  outcomeLost: false,
  /** A file is created under its own name at once: after a crash nobody can tell whose it is. */
  createInPlace: false,
  /** A request of an older channel sequence is executed. */
  admitStaleSequence: false,
  /** I/O does not look at the byte-range locks of others. */
  ignoreOthersLocks: false,
  /** Only the persistent half of a handle's name is compared. */
  ignoreVolatileId: false,
  /** An append whose outcome is unknown is written again at the end of the file. */
  appendAgain: false,
};

/** The name of a planted bug. */
export type FilenodeMutant = keyof typeof filenodeMutants;

/** Runs `body` with one bug planted, and takes it out again. */
export async function withFilenodeMutant<T>(name: FilenodeMutant, body: () => Promise<T>): Promise<T> {
  filenodeMutants[name] = true;
  try {
    return await body();
  } finally {
    filenodeMutants[name] = false;
  }
}
