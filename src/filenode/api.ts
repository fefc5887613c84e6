import type { v1 } from "../wire/index.js";

/** Identity and size of something in a share. */
export interface VfsStat {
  /** Survives rename, differs after delete and create. */
  readonly fileId: string;
  readonly directory: boolean;
  readonly size: number;
  readonly modifiedMs: number;
  readonly createdMs: number;
  readonly readOnly: boolean;
  readonly linkCount: number;
}

/** An open file of the share. Offsets are bytes. */
export interface VfsFile {
  read(offset: number, length: number): Promise<Uint8Array>;
  write(offset: number, data: Uint8Array): Promise<void>;
  truncate(size: number): Promise<void>;
  /** Data is on stable storage when it resolves. */
  sync(): Promise<void>;
  stat(): Promise<VfsStat>;
  close(): Promise<void>;
}

/**
 * A share: a directory that all file nodes reach. Paths are relative, "/"-separated and already validated; no
 * operation ever leaves the directory, symlinks that lead out included. Errors are HoldfastError with file statuses.
 * Real files in production, memory with injected faults in the simulation.
 */
export interface Vfs {
  /** Null when nothing stands there. Never follows a symlink out of the share. */
  stat(path: string): Promise<VfsStat | null>;
  open(path: string, options: { readonly write: boolean }): Promise<VfsFile>;
  /** Creates `path` exclusively; fails with OBJECT_NAME_COLLISION. Durable only after `syncDirectory`. */
  create(path: string): Promise<VfsFile>;
  /** Hard link; fails with OBJECT_NAME_COLLISION when the target exists. */
  link(from: string, to: string): Promise<void>;
  /** Atomic; replaces what stands at `to`. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  list(
    path: string,
    after: string,
    limit: number,
  ): Promise<{ readonly names: readonly string[]; readonly more: boolean }>;
  /** The names in the directory are on stable storage when it resolves. */
  syncDirectory(path: string): Promise<void>;
  /** Durable when it resolves. */
  setAttributes(path: string, attributes: VfsAttributes): Promise<void>;
  /** A new file at `to` (COLLISION when something stands there) with the same content: shared blocks where the file system can. */
  copy(from: string, to: string): Promise<void>;
}

/** What a client may set besides content; what is absent stays. */
export interface VfsAttributes {
  readonly readOnly?: boolean;
  readonly modifiedMs?: number;
}

/** The node lease as operations see it: checked when one starts and again before its reply (design section 5). */
export interface NodeLease {
  /** Milliseconds left on the monotonic clock; zero or less: not held. */
  leftMs(): number;
  readonly incarnation: number;
  onLost(listener: () => void): () => void;
}

/**
 * The door of the resume key filter. A protocol adapter (gRPC FileService first, others later) opens a channel for a
 * client connection, hands it requests in the neutral form of files.proto and gets answers; nothing of a protocol
 * leaks below. Answers may come in any order; `notify` carries what is unasked for.
 */
export interface FileNode {
  connect(peer: PeerInfo, notify: (response: v1.IFileResponse) => void): FileChannel;
  /** The live channel that a session is attached to here, if any: for single calls of thin clients. */
  channelOfSession(sessionId: number): FileChannel | undefined;
  /**
   * Stops taking sessions, finishes what runs. True when nothing of it is in the kernel any more: only then may what this
   * node owned be given away at once.
   */
  stop(): Promise<boolean>;
}

/** Who is at the other end, as authenticated by the transport. */
export interface PeerInfo {
  readonly principal: string;
  readonly address: string;
}

/** One client connection. */
export interface FileChannel {
  /** The session that is attached to it, as far as proving one's right to it needs; null before Attach. */
  readonly session: v1.ISessionRecord | null;
  /** Never rejects: errors are in the response. */
  call(request: v1.IFileRequest): Promise<v1.IFileResponse>;
  /** The connection is gone: what waits is cancelled, the session becomes disconnected. */
  close(): void;
}
