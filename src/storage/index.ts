export { isDamage, lostWrites, REBUILD_FROM_PEERS } from "./errors.js";
export { type EngineHost, type EngineIterator, EngineStore, type KvEngine } from "./engine-store.js";
export { openRocks, rocksOpener } from "./rocks-kv.js";
export { type RocksOptions } from "./rocks-open.js";
export {
  FOUNDED_AT,
  NodeStorage,
  type StateChange,
  type StateRecord,
  type StorageOptions,
  type StorageWorld,
} from "./node-storage.js";
export { FORMAT_VERSION, type ExpectedIdentity, type NodeIdentity, type PeerDisk } from "./identity.js";
export { StateSnapshot, chunkCrc, type StateChunk } from "./state-snapshot.js";
export { SnapshotReceiver } from "./snapshot-receiver.js";
export { type AppliedPosition } from "./records.js";
export { type WriteDone } from "./commit-queue.js";
export { kvStoreConformance, type ConformanceHooks, type ConformanceSubject } from "./conformance.js";
export {
  DiskGuard,
  defaultDiskGuardOptions,
  type DiskFullListener,
  type DiskGuardOptions,
  type DiskSpace,
} from "./disk-guard.js";
export { folderSpace } from "./folder-space.js";
