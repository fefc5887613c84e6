import type { NodeStorage } from "../storage/index.js";

/** What the replica needs of a member's disk. Over RocksDB or over a simulated store, it is the same code. */
export type ReplicaStorage = Pick<
  NodeStorage,
  | "loadDurable"
  | "applied"
  | "stateRecords"
  | "persist"
  | "writeState"
  | "compactLog"
  | "openStateSnapshot"
  | "receiveSnapshot"
  | "discardReceived"
  | "oldestPendingSyncMs"
  | "fsyncP99Ms"
  | "close"
>;
