/** The replicated log and the state on it: propose, read, watch. */
export type * from "./api.js";
export { type ReplicaConfig, replicaDefaults, validateReplicaConfig } from "./config.js";
export { EXIT_STORAGE_FAILED, type ReplicaDeps } from "./deps.js";
export { createReplica, raftOptions } from "./restore.js";
export { Ticker } from "./ticker.js";
