/**
 * Raft consensus as a pure state machine: messages, ticks and proposals in, one batch of effects a turn out. No clock, no
 * randomness, no I/O of its own.
 */
export type { RaftMember, RaftOptions, RaftStatus, RestoreRaft } from "./api.js";
export {
  CONF_CHANGES_MAX,
  decodeConfChange,
  describeChanges,
  encodeConfChange,
  LEAVE_JOINT,
  parseChanges,
} from "./conf/codec.js";
export { EMPTY_CONF_STATE } from "./conf/config.js";
export {
  type DataFormatter,
  describeBatch,
  describeConfState,
  describeEntries,
  describeEntry,
  describeHardState,
  describeMessage,
  describeProgress,
  describeRole,
  describeSnapshot,
  MESSAGE_NAMES,
  quoteData,
} from "./describe.js";
export type {
  DropReason,
  DurableState,
  Effects,
  PersistBatch,
  ProposeResult,
  ReadReady,
  Role,
  RoleChange,
} from "./effects.js";
export { COMMIT_WITHIN_LOG, InvariantError } from "./invariant.js";
export { entryBytes, payloadBytes } from "./log/size.js";
export { createRaft, foundingState, joiningState, restoreRaft } from "./member.js";
export { Message, MessageKind, NO_ENTRIES } from "./message.js";
export { NO_LIMIT, RAFT_ID_MAX, TICKS_MAX, validateOptions } from "./options.js";
export {
  type ConfChange,
  ConfChangeKind,
  type ConfState,
  ConfTransition,
  Entry,
  EntryKind,
  type HardState,
  type Index,
  NONE,
  type RaftId,
  type SnapshotMeta,
  type Term,
} from "./types.js";
