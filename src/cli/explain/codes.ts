import { ErrorCode } from "../../wire/errors.js";

/** What one error code is about. */
export interface CodeText {
  /** What has happened. */
  readonly means: string;
  /** What the caller should do. */
  readonly caller: string;
  /** The next command or step. */
  readonly next: string;
}

/** Every code of the contract: one that is missing here does not compile. */
export const CODES: Readonly<Record<keyof typeof ErrorCode, CodeText>> = {
  ERROR_CODE_UNSPECIFIED: {
    means: "No code was given; a well-behaved node never sends this.",
    caller: "Treat it like INTERNAL.",
    next: "holdfast status; look at the node's log",
  },
  INVALID_ARGUMENT: {
    means: "A field of the call is missing, malformed or out of bounds; the message names it and its value.",
    caller: "Mend the call; repeating it unchanged fails again.",
    next: "holdfast --help, or the message's own advice",
  },
  LIMIT_EXCEEDED: {
    means: "The call would go past a limit (size, number of sessions, handles, locks, nodes).",
    caller: "Ask for less, or close what is no longer needed.",
    next: "holdfast nodes shows how much is in use",
  },
  UNSUPPORTED_VERSION: {
    means: "The two sides have no protocol version in common.",
    caller: "Update the older side.",
    next: "holdfast status -o wide compares versions",
  },
  WRONG_CLUSTER: {
    means: "The call or peer belongs to a cluster with another id.",
    caller: "Use this cluster's endpoints; never carry data folders between clusters.",
    next: "holdfast status -o json shows the cluster's id",
  },
  UNAUTHENTICATED: {
    means: "The node wants a certificate that the caller did not show, or cannot trust it.",
    caller: "Present a certificate of the cluster's authority.",
    next: "compare the certificates with tls in the node's configuration",
  },
  PERMISSION_DENIED: {
    means: "The caller is known and not allowed to do this.",
    caller:
      "Ask with the right principal; to change the cluster, with the certificate of an operator (tls.operators).",
    next: "holdfast sessions -o wide shows principals; --tls-cert and --tls-key give a certificate",
  },
  REQUEST_MISMATCH: {
    means: "A request id was used a second time with other arguments.",
    caller: "A bug in the caller: every new call takes a new sequence number or operation id.",
    next: "holdfast ops show ID, where it is an operation's id",
  },
  SEQUENCE_MISORDERED: {
    means: "A call's sequence number is older than the last one of its slot.",
    caller: "Its answer is no longer kept. Find out by reading what became of it; do not repeat it blindly.",
    next: "holdfast sessions --session ID",
  },
  PRECONDITION_FAILED: {
    means: "The world is not as the caller expected it (owner, epoch, plan, membership); nothing was done.",
    caller: "Look again and decide anew.",
    next: "the same command with --dry-run",
  },
  NO_CHANGE: {
    means: "It was already so; nothing was done.",
    caller: "Go on: what you wanted is the case.",
    next: "nothing needs doing",
  },
  NOT_LEADER: {
    means: "The asked member does not lead, and this call has to be made at the leader.",
    caller: "Ask the leader; the error names it when it is known.",
    next: "holdfast explain leader",
  },
  NO_QUORUM: {
    means: "No leader with a majority of voters is known, so nothing can be changed.",
    caller: "Wait and repeat under the same request id.",
    next: "holdfast status",
  },
  NOT_OWNER: {
    means: "Another node owns the session.",
    caller: "Go to the owner that the error names; the client library does.",
    next: "holdfast explain session ID",
  },
  STALE_EPOCH: {
    means: "Ownership has moved on since the caller learned its epoch: it is fenced off.",
    caller: "Stop serving the session; a client connects to the present owner.",
    next: "holdfast explain session ID",
  },
  LEASE_LOST: {
    means: "This file node does not hold its node lease now, so it may not serve.",
    caller: "Repeat it; the session is served elsewhere within about one lease.",
    next: "holdfast status -o wide shows the lease and why it is not asked for",
  },
  NOT_READY: {
    means: "The node is starting, taking over or draining.",
    caller: "Repeat it after the advised time.",
    next: "holdfast nodes",
  },
  FROZEN: {
    means: "The session is being transferred this moment.",
    caller: "Repeat it after the advised time, at the new owner.",
    next: "holdfast ops list",
  },
  OVERLOADED: {
    means: "Too much waits already; the call was not begun.",
    caller: "Repeat it later and send less at once.",
    next: "holdfast status -o wide",
  },
  DISK_FULL: {
    means: "The node's own disk has no room for what this call would add.",
    caller: "Free space; closing and renewing still work.",
    next: "df on the node's data folder, then holdfast status",
  },
  DEADLINE_EXCEEDED: {
    means: "No answer within the caller's deadline.",
    caller: "A read may be repeated; a change only under the same request id.",
    next: "holdfast status",
  },
  CANCELLED: {
    means: "The call was given up, by its caller or because its handle or session went.",
    caller: "Nothing, if the caller meant it; otherwise repeat it.",
    next: "holdfast sessions",
  },
  OUTCOME_UNKNOWN: {
    means: "The change may or may not have happened.",
    caller: "Ask again under the same request id: it is done at most once.",
    next: "holdfast events shows what happened",
  },
  STOPPING: {
    means: "The node is shutting down in order.",
    caller: "Go to another node.",
    next: "holdfast nodes",
  },
  UNKNOWN_NODE: {
    means: "No file node with this name is registered.",
    caller: "Mend the name.",
    next: "holdfast nodes",
  },
  UNKNOWN_SESSION: {
    means: "The session never existed, expired, was closed or was replaced.",
    caller: "Open a new session; its handles are gone.",
    next: "holdfast explain session ID",
  },
  UNKNOWN_SHARE: {
    means: "No share with this name is defined or served.",
    caller: "Mend the name.",
    next: "holdfast files ls",
  },
  UNKNOWN_HANDLE: {
    means: "The handle never existed, or is gone beyond its tombstone.",
    caller: "Open the file again.",
    next: "holdfast handles --all",
  },
  UNKNOWN_KEY: {
    means: "No resume key with this name exists.",
    caller: "Claim it first.",
    next: "holdfast nodes -o wide counts the keys of each node",
  },
  UNKNOWN_OPERATION: {
    means: "No operation with this id is kept.",
    caller: "Mend the id.",
    next: "holdfast ops list",
  },
  UNKNOWN_MEMBER: {
    means: "The consensus group has no such member.",
    caller: "Mend the name.",
    next: "holdfast members",
  },
  UNKNOWN_FAILOVER: {
    means: "No failover or transfer with this number is recorded, or its record is no longer kept.",
    caller: "Mend the number.",
    next: "holdfast failovers",
  },
  COMPACTED: {
    means: "The revisions asked for are no longer kept.",
    caller: "Read the present state, then watch from its revision.",
    next: "holdfast events, without --since",
  },
  INTERNAL: {
    means: "A broken invariant: a bug of ours; the message names it.",
    caller: "Keep the logs of all nodes and report it.",
    next: "holdfast status, then the node's log",
  },
  STORAGE_FAILED: {
    means: "Reading or writing the share or the node's own disk failed.",
    caller: "Repeat it elsewhere; have the disk looked at.",
    next: "holdfast status -o wide, and the host's kernel log",
  },
  FILE_NOT_AVAILABLE: {
    means: "The file is kept for a client that is away and may still come back.",
    caller: "Repeat it; it is free when that client has resumed or its time is over.",
    next: "holdfast handles --path PATH, then holdfast explain handle ID",
  },
  SERVER_UNAVAILABLE: {
    means: "The node cannot serve files now.",
    caller: "Connect to another node.",
    next: "holdfast nodes",
  },
  SHARE_UNAVAILABLE: {
    means: "The share cannot be reached from this node.",
    caller: "Connect to another node; have the share's storage looked at.",
    next: "holdfast nodes",
  },
  USER_SESSION_DELETED: {
    means: "The session was expired, closed or replaced by a newer one of the same client.",
    caller: "Connect anew and open the files again.",
    next: "holdfast explain session ID",
  },
  FILE_CLOSED: {
    means: "The handle is closed.",
    caller: "Open the file again.",
    next: "holdfast explain handle ID",
  },
  OBJECT_NAME_NOT_FOUND: {
    means: "No file with this name stands there.",
    caller: "Mend the path, or create it.",
    next: "holdfast files ls SHARE:/FOLDER",
  },
  OBJECT_PATH_NOT_FOUND: {
    means: "A folder of the path does not exist.",
    caller: "Make the folder first.",
    next: "holdfast files mkdir SHARE:/FOLDER",
  },
  DUPLICATE_OBJECTID: {
    means: "A create guid or handle id was used before.",
    caller: "Take a new one; the client library does.",
    next: "holdfast handles --all",
  },
  ACCESS_DENIED: {
    means: "The handle, file or session does not allow this to the caller.",
    caller: "Open with the rights that are needed, as the right principal.",
    next: "holdfast handles -o wide shows granted rights",
  },
  INVALID_PARAMETER: {
    means: "A file operation's argument makes no sense.",
    caller: "Mend the call.",
    next: "the message names the argument",
  },
  CONTEXT_MISMATCH: {
    means: "The handle is of another kind than the reconnect claims.",
    caller: "Reconnect as it was opened, or open anew.",
    next: "holdfast explain handle ID",
  },
  FILE_FORCED_CLOSED: {
    means: "An operator, another instance of the application or a lost server closed the handle.",
    caller: "Open the file again.",
    next: "holdfast explain handle ID",
  },
  SHARING_VIOLATION: {
    means: "Somebody has the file open in a way that excludes this open.",
    caller: "Repeat it later, or open with another share mode.",
    next: "holdfast handles --path PATH",
  },
  LOCK_NOT_GRANTED: {
    means: "The range is locked by another handle.",
    caller: "Wait for it or repeat it later.",
    next: "holdfast locks --path PATH",
  },
  FILE_LOCK_CONFLICT: {
    means: "Reading or writing here conflicts with another handle's lock.",
    caller: "Repeat it when the lock is gone.",
    next: "holdfast locks --path PATH",
  },
  RANGE_NOT_LOCKED: {
    means: "The range to unlock is not locked exactly like that by this handle.",
    caller: "Unlock the ranges that were locked.",
    next: "holdfast locks --path PATH",
  },
  INVALID_LOCK_RANGE: {
    means: "The range goes past 2^64.",
    caller: "Mend offset and length.",
    next: "the message names the range",
  },
  DELETE_PENDING: {
    means: "The file is marked to be deleted with its last handle.",
    caller: "Wait until it is gone; then create it anew.",
    next: "holdfast handles --path PATH",
  },
  OBJECT_NAME_COLLISION: {
    means: "Something stands at that name already.",
    caller: "Choose another name, or a disposition that takes what is there.",
    next: "holdfast files stat SHARE:/PATH",
  },
  DIRECTORY_NOT_EMPTY: {
    means: "The folder still has entries.",
    caller: "Remove them first.",
    next: "holdfast files ls SHARE:/FOLDER",
  },
  CANNOT_DELETE: {
    means: "The file is read-only or in use in a way that keeps it.",
    caller: "Change its attributes, or have the others close it.",
    next: "holdfast handles --path PATH",
  },
  INVALID_DEVICE_STATE: {
    means: "The operation does not fit what was done on this handle before.",
    caller: "Open the file again.",
    next: "holdfast explain handle ID",
  },
  REQUEST_NOT_ACCEPTED: {
    means: "The node takes no more of these now.",
    caller: "Repeat it later.",
    next: "holdfast status",
  },
  UNSUCCESSFUL: {
    means: "The file system refused without a better reason; the message has its words.",
    caller: "Depends on the message.",
    next: "the node's log",
  },
  OBJECT_NAME_INVALID: {
    means: "The path contains what no path may.",
    caller: "Mend the path.",
    next: "the message names the part",
  },
  FILE_IS_A_DIRECTORY: {
    means: "A folder stands where a file was expected.",
    caller: "Open it as a folder.",
    next: "holdfast files stat SHARE:/PATH",
  },
  NOT_A_DIRECTORY: {
    means: "A file stands where a folder was expected.",
    caller: "Mend the path.",
    next: "holdfast files stat SHARE:/PATH",
  },
  END_OF_FILE: {
    means: "The read begins at or past the end.",
    caller: "Stop reading.",
    next: "nothing needs doing",
  },
  TOO_MANY_OPENED_FILES: {
    means: "The session or cluster has as many handles as it may.",
    caller: "Close some.",
    next: "holdfast handles --session ID",
  },
  NOT_SUPPORTED: {
    means: "This node, share or file system cannot do that.",
    caller: "Do without, or ask a node that can.",
    next: "holdfast members, holdfast nodes",
  },
};
