import { makeMutants, type MutantList } from "../mutants/switches.js";

/**
 * Planted bugs of the domain, one switch each: the verification of the verification. All are off, and production code
 * has no way to turn them on (this file is not exported from the package entry). A runner of tests turns one on, and a
 * test, the model or the simulator has to notice. A switch that is off costs one load of a boolean.
 */
const DESCRIPTIONS = {
  epochUnchecked: ["D4", "a command with a stale epoch is executed"],
  ownerUnchecked: ["D4", "a command from a node that does not own the session is executed"],
  lockDuringTakeover: [
    "C5",
    "locks and opens are granted before the new owner has resolved what it inherited",
  ],
  replyForgottenOnTakeover: ["B6", "stored replies are dropped when a session changes its owner"],
  replyNotStored: ["B6", "the reply is not stored with its effect, so that a repeat executes again"],
  requestMismatchIgnored: ["B6", "another payload under a known request id gets the stored reply"],
  replayExecutesAgain: ["B2", "a create with the replay flag is executed as if it were new"],
  replayAfterUse: ["B2", "a replay is answered although the handle was used already"],
  tombstoneForgotten: [
    "B2",
    "a closed handle leaves nothing behind, so that its replay creates a second one",
  ],
  lockBucketNotStored: ["B3", "a lock is stored without its sequence bucket"],
  lockRollbackMissing: ["B3", "an array of locks that fails in the middle keeps its first locks"],
  lockOverlapOffByOne: ["F2", "a lock that begins on the last byte of another does not conflict"],
  lockSharedConflictMissed: ["F2", "a shared lock of another open does not stop an exclusive one"],
  lockWaiterOvertaken: ["F2", "a new lock is granted although somebody waits for the range already"],
  lockWithoutPrepare: ["F2", "a lock is granted before other nodes that have the file open enforce it"],
  shareCheckOneWay: ["F1", "only what the existing open denies is checked, not what the new one denies"],
  disconnectedUnprotected: ["C5", "a disconnected persistent handle does not hold off others"],
  storedBreakLost: ["C6", "a break for an absent lease holder is forgotten instead of stored"],
  breakWithoutWait: ["F3", "an open is granted before the lease that it breaks was acknowledged"],
  directoryLeaseKept: ["F3", "a name that comes, goes or changes in a directory ends no lease of it"],
  directoryLeaseOfSizes: ["F3", "a change of size, attributes or times ends no lease of the directory"],
  parentKeyIgnored: ["F3", "the lease of the directory that the actor names as its own ends too"],
  directoryLeasedForWriting: ["F3", "a directory is leased for writing"],
  leaseEpochStands: ["C6", "the epoch of a lease does not count its changes"],
  expireWithoutIncarnation: ["A8", "an expiry that was overtaken by a reconnect is executed"],
  expireEarly: ["A7", "a handle may expire before its promised timeout"],
  deleteOnCrash: ["C3", "delete-on-close fires because a server died"],
  deleteMarkLostAtExpiry: ["A8", "a handle that expires does not delete its marked file"],
  principalUnchecked: ["A6", "a session or handle is resumed by another principal"],
  stealConnected: ["A6", "a handle that is still connected can be resumed elsewhere"],
  renameAboveOpen: ["F4", "a directory with open handles below it can be renamed"],
  tailOpen: ["C4", "others write behind the place where an unresolved append or cut may still be taken back"],
  staleObservationAccepted: ["C4", "an open that looked at the file system before a name change is executed"],
  effectNotHandedOver: ["C4", "unresolved effects stay with a dead owner"],
  rendezvousByMember: ["H 18", "the new owner depends on something that differs between members"],
  appInstanceVersionIgnored: ["D3", "an application instance with an old version takes the file over"],
} as const satisfies MutantList;

/** Name of a planted bug. */
export type MutantName = keyof typeof DESCRIPTIONS;

const MADE = makeMutants(DESCRIPTIONS);

/** All planted bugs of the domain. */
export const MUTANTS = MADE.list;

/** The switches, read at the dangerous places. */
export const mutant: Record<MutantName, boolean> = MADE.switches;

/** Test hook: plants or removes one bug, in this process, for every member. */
export const setMutant = MADE.plant;

/** Test hook: removes all planted bugs. */
export const clearMutants = MADE.clear;
