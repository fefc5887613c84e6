/**
 * The test kit: a seeded world under virtual time, checkers for its invariants, and a linearizability checker. For
 * whoever builds on Holdfast or on its consensus core; nothing here runs in production.
 */
export * from "./checkers/index.js";
export * from "./cluster-world/index.js";
export * from "./core-world/index.js";
export {
  fileServerConformance,
  type FileServerCase,
  type FileServerUnderTest,
  type RunningServer,
  type StopPoint,
} from "./file-server-conformance.js";
export * from "./linearizability/index.js";
export { MemoryShare } from "./memory-share.js";
export * from "./memory-vfs.js";
export type * from "./run-report.js";
export * from "./sim/index.js";
export {
  type ConformanceHooks,
  type ConformanceSubject,
  kvStoreConformance,
} from "../storage/conformance.js";
export { type VfsCase, vfsConformance } from "./vfs-conformance.js";
