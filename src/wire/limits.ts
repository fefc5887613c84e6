/**
 * Limits of what may come over a wire or into the state, in one place, each with its reason. Checked before anything is
 * allocated for the value; tested at the edge.
 */
export const limits = {
  /** One gRPC message, either direction. Peers split below it; a larger one is refused before it is decoded. */
  messageBytesMax: 4 * 1024 * 1024,
  /** Calls or answers that one frame of a stream may carry; a frame with more ends the stream. */
  frameCallsMax: 256,
  /** A frame is closed before it would grow beyond this; what is larger alone has a frame for itself. */
  frameBytes: 64 * 1024,
  /** One read or write of file data: large enough to stream, small enough to keep the event loop under a few ms. */
  chunkBytesMax: 256 * 1024,
  /** One command in the log. */
  commandBytesMax: 1024 * 1024,
  /** Opaque state under a resume key. */
  keyStateBytesMax: 64 * 1024,
  /** A resume key, in UTF-8 bytes. */
  keyBytesMax: 512,
  /** Opaque blob of an access protocol on a handle. */
  blobBytesMax: 64 * 1024,
  /** A path relative to its share, in UTF-8 bytes; one component: 255 (the file system's own). */
  pathBytesMax: 4096,
  nameBytesMax: 255,
  /** Names of clients, principals, nodes, reasons. */
  labelBytesMax: 256,
  /** A client's guid, a create guid, a lease key, a handle id: always exactly this many bytes. */
  guidBytes: 16,
  /** Calls of one session that may be under way with a reply kept (semantics.md B6). */
  slotsPerSession: 64,
  /** A stored reply. */
  replyBytesMax: 16 * 1024,
  /** Largest number of a member: it travels as an unsigned 32 bit number, and a larger one would arrive as another's. */
  raftIdMax: 2 ** 32 - 1,
  /** File nodes of one cluster, ours and others. */
  nodesMax: 1_000,
  sessionsMax: 100_000,
  handlesPerSessionMax: 200_000,
  handlesMax: 2_000_000,
  locksPerHandleMax: 10_000,
  lockElementsMax: 64,
  keysMax: 5_000_000,
  /** Commands in one Batch. */
  batchCommandsMax: 256,
  /** Session timeout bounds; what a client asks is clamped (semantics.md A7). */
  sessionTimeoutMsMin: 1_000,
  sessionTimeoutMsMax: 300_000,
  sessionTimeoutMsDefault: 60_000,
  handleTimeoutMsMax: 300_000,
  handleTimeoutMsDefault: 60_000,
  /** A lease holder's time to acknowledge a break (semantics.md A7). */
  breakAckMs: 35_000,
  /** The same for a lease with persistent handles: its holder may be in the middle of a failover. */
  breakAckPersistentMs: 60_000,
  /** Recent name changes kept to refuse outdated observations. */
  nameChangesKeptMax: 4_096,
  /** Tombstones kept per session before the oldest go. */
  tombstonesPerSessionMax: 1_024,
  /** Events kept for watches that resume. */
  eventsKeptMax: 10_000,
  /** Events kept besides at each node of the kinds that operators look for (`NOTABLE_KINDS`). */
  notableEventsKeptMax: 2_000,
  /**
   * Sessions of a dead node that may get their new owner in one log entry: what others do is applied in between. What an
   * entry that names no number moves, so it must never change.
   */
  takeoverSessionsPerEntry: 400,
  /** How many each entry of a takeover asks for: an entry and its records then hold a node for a millisecond or two. */
  takeoverSessionsWanted: 100,
  /** Failover and operation records kept. */
  historyKeptMax: 1_000,
  /** Entries in one page of a listing. */
  pageMax: 1_000,
} as const;
