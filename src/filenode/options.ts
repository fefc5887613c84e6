/** Limits of one file node, each with its reason; `createFileNode` takes others for tests. */
export const filenodeLimits = {
  /** Writes and syncs that are in the kernel at once: what a lease cannot recall any more (design section 5). */
  writesInKernelMax: 4,
  /** Reads in the kernel at once: a hung share must leave threads for the node's own disk. */
  readsInKernelMax: 8,
  /** Bytes of writes that wait at one node before further ones are refused with OVERLOADED. */
  queuedWriteBytesMax: 64 * 1024 * 1024,
  /** Writes of one handle that one sync may cover. */
  writesPerSyncMax: 32,
  /** Descriptors kept open between calls; a million idle handles need none. */
  openFilesMax: 4096,
  /** Calls of one client connection under way at once. */
  callsPerChannelMax: 1024,
  /** Channels of one session: what a client may hold of sockets here. */
  channelsPerSessionMax: 32,
  /** Looks at the file system again when the open table says that an observation was overtaken. */
  observationTriesMax: 8,
  /** Folders listed and entries looked at together. */
  statsAtOnceMax: 16,
  /** How long a new stream waits for what the session's older stream still has under way. */
  drainMs: 2000,
} as const;

/** The same names with numbers of any size. */
export type FilenodeLimits = { readonly [K in keyof typeof filenodeLimits]: number };
