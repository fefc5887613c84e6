/** The file node: shares, the resume key filter above them, the node lease, and the gRPC FileService in front. */
export type { FileChannel, FileNode, NodeLease, PeerInfo, Vfs, VfsFile, VfsStat } from "./api.js";
export { createFileNode, type FileNodeImpl, type FileNodeOptions } from "./file-node.js";
export { type FileServiceParts, fileServiceHandlers } from "./grpc-file-service.js";
export { FileServiceForwarder } from "./grpc-forward.js";
export { GrpcHeartbeats } from "./grpc-heartbeat.js";
export { type HeartbeatNetwork, LeaseKeeper, type LeaseKeeperOptions } from "./lease-keeper.js";
export { leaseDefaults, type LeaseOptions, leaseOptions } from "./lease-options.js";
export { filenodeLimits, type FilenodeLimits } from "./options.js";
export { PosixVfs } from "./vfs/posix-vfs.js";
