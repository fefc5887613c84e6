/**
 * Kinds of event. `node` is the addressee: a name below means "the node in brackets", otherwise everybody who watches.
 * Operators, witnesses and file nodes rely on these strings; they are never changed in meaning.
 */
export const EventKind = {
  /** A cluster was initialised, or a share or member defined. */
  cluster: "cluster",
  share: "share",
  member: "member",
  /** A file node registered (`node_record`). */
  nodeUp: "node-up",
  /** An incarnation of a file node was declared down; its sessions have moved (`node_record`). */
  nodeDown: "node-down",
  /** Cordoned, draining or neither, as the record says. */
  nodeCordoned: "node-cordoned",
  nodeLeft: "node-left",
  sessionOpened: "session-opened",
  sessionConnected: "session-connected",
  sessionDisconnected: "session-disconnected",
  /** A session has a new owner and epoch: for the new one to load it, for the old one to let go, for witnesses to tell. */
  sessionMoved: "session-moved",
  /** Its new owner has resolved what it inherited. */
  sessionReady: "session-ready",
  sessionClosed: "session-closed",
  sessionExpired: "session-expired",
  /** Another session of the same client will take its place as soon as nothing of it runs any more: [owner], who says so. */
  sessionEnding: "session-ending",
  /** Another session of the same client took its place. */
  sessionReplaced: "session-replaced",
  /** Frozen for a transfer, or thawed: [owner]. */
  sessionFrozen: "session-frozen",
  handleOpened: "handle-opened",
  handleResumed: "handle-resumed",
  /** An operator wants it closed: [owner], who ends what runs on it first and gives the event's text as the reason. */
  handleClosing: "handle-closing",
  /** Closed by its client. */
  handleClosed: "handle-closed",
  /** Closed by an operator, an application takeover, a broken promise of a durable handle: [owner], who tells the client. */
  handleForcedClosed: "handle-forced-closed",
  handleExpired: "handle-expired",
  /** Its file has another path since somebody renamed it: [owner], who reaches the file by it. */
  handleRenamed: "handle-renamed",
  /** A handle left its session to move alone: [the session's owner]; the record names the session that it is in now. */
  handleMoved: "handle-moved",
  /** A parked call has its answer: [owner of the session]. */
  pendingDone: "pending-done",
  /** A lease holder must be told: [owner of its session]. */
  leaseBreak: "lease-break",
  /** An effect must be performed or resolved: [its owner]. */
  effectNeeded: "effect-needed",
  effectFinished: "effect-finished",
  /** Byte-range locks of a file changed: [each other node that has it open]. */
  fileLocks: "file-locks",
  /** A lock is about to be granted elsewhere: [each other node that has the file open]. */
  lockPrepare: "lock-prepare",
  keyClaimed: "key-claimed",
  /** A resume key has a new owner: [new owner]. */
  keyMoved: "key-moved",
  keyReleased: "key-released",
  keyExpired: "key-expired",
  failover: "failover",
  operationBegun: "operation-begun",
  operationMoved: "operation-moved",
  operationEnded: "operation-ended",
} as const;

/** One of the kinds. */
export type EventKind = (typeof EventKind)[keyof typeof EventKind];
