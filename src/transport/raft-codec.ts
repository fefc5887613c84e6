import { Entry, EntryKind, Message, MessageKind, NO_ENTRIES } from "../raft/index.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { fromSnapshotMeta, toSnapshotMeta } from "../wire/snapshot-meta.js";

const KIND_MAX = MessageKind.Durable;
const NO_BYTES = new Uint8Array(0);

/**
 * The wire form of a core message. Shares entries and their data: neither is ever mutated. Fields that are zero stay
 * away, so that an acknowledgement is a few bytes.
 */
export function toWire(message: Message): v1.IRaftMessage {
  const wire: v1.IRaftMessage = {
    kind: message.kind,
    from: message.from,
    to: message.to,
    term: message.term,
    index: message.index,
  };
  if (message.logTerm !== 0) wire.logTerm = message.logTerm;
  if (message.commit !== 0) wire.commit = message.commit;
  if (message.reject) wire.reject = true;
  if (message.rejectHint !== 0) wire.rejectHint = message.rejectHint;
  if (message.readPosition !== 0) wire.readPosition = message.readPosition;
  if (message.readRequest !== 0) wire.readRequest = message.readRequest;
  if (message.session !== 0) wire.session = message.session;
  if (message.forced) wire.forced = true;
  // An Entry has the fields of its wire form under the same names: no copy for each entry and peer.
  if (message.entries.length > 0) wire.entries = message.entries as v1.IRaftEntry[];
  if (message.snapshot !== null) wire.snapshot = toSnapshotMeta(message.snapshot);
  return wire;
}

/**
 * Why a message from the wire cannot be given to the core; null when it can. The peer's bytes are not trusted: an
 * unsafe integer, an unknown kind or a gap in the entries would otherwise trip an assertion of the core, which stops
 * the node.
 */
export function invalidMessage(wire: v1.IRaftMessage, from: number, to: number): string | null {
  if (!isInteger(wire.kind, KIND_MAX)) return `unknown message kind ${wire.kind}`;
  if (isLocal(wire.kind ?? 0)) return `message kind ${wire.kind} never comes from another member`;
  if (wire.from !== from) return `message of member ${wire.from} on the link of member ${from}`;
  if (wire.to !== to) return `message to member ${wire.to} at member ${to}`;
  if (
    !isSafe(wire.term) ||
    !isSafe(wire.logTerm) ||
    !isSafe(wire.index) ||
    !isSafe(wire.commit) ||
    !isSafe(wire.rejectHint) ||
    !isSafe(wire.readPosition) ||
    !isSafe(wire.readRequest) ||
    !isSafe(wire.session)
  )
    return "a number beyond 2^53-1";
  return invalidEntries(wire) ?? invalidSnapshot(wire);
}

/**
 * Kinds that only etcd's test files give to the core. Members pass commands on by frames of their own; taken from a peer, a
 * proposal could put into the log what nobody can decode.
 */
function isLocal(kind: number): boolean {
  return kind === MessageKind.Propose || kind === MessageKind.ForgetLeader;
}

function invalidEntries(wire: v1.IRaftMessage): string | null {
  const entries = wire.entries;
  if (!entries || entries.length === 0) return null;
  if (wire.kind !== MessageKind.Append) return `entries in a message of kind ${wire.kind}`;
  let term = wire.logTerm ?? 0;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as v1.IRaftEntry;
    if (!isInteger(entry.kind, EntryKind.ConfChangeV2)) return `unknown entry kind ${entry.kind}`;
    if (!isSafe(entry.term) || !isSafe(entry.index)) return "a number beyond 2^53-1";
    if (entry.index !== (wire.index ?? 0) + 1 + i) return `entry ${entry.index} out of order`;
    if ((entry.term ?? 0) < term || (entry.term ?? 0) > (wire.term ?? 0))
      return `entry ${entry.index} has term ${entry.term} after ${term} in a message of term ${wire.term}`;
    term = entry.term ?? 0;
  }
  return null;
}

function invalidSnapshot(wire: v1.IRaftMessage): string | null {
  const snapshot = wire.snapshot;
  if (!snapshot) return wire.kind === MessageKind.Snapshot ? "a snapshot message without a snapshot" : null;
  if (!isSafe(snapshot.index) || !isSafe(snapshot.term) || !isSafe(snapshot.confIndex))
    return "a number beyond 2^53-1";
  if (!snapshot.confState?.voters?.length) return "a snapshot without voters";
  return null;
}

/**
 * The core's form of a message that `invalidMessage` let pass. Entry data is copied into one buffer of exactly its
 * size: a view into the socket's 64 KB chunk would keep the whole chunk alive for as long as the log keeps the entry.
 */
export function fromWire(wire: v1.IRaftMessage): Message {
  const message = new Message((wire.kind ?? 0) as MessageKind, wire.from ?? 0, wire.to ?? 0, wire.term ?? 0);
  message.logTerm = wire.logTerm ?? 0;
  message.index = wire.index ?? 0;
  message.commit = wire.commit ?? 0;
  message.reject = wire.reject ?? false;
  message.rejectHint = wire.rejectHint ?? 0;
  message.readPosition = wire.readPosition ?? 0;
  message.readRequest = wire.readRequest ?? 0;
  message.session = wire.session ?? 0;
  message.forced = wire.forced ?? false;
  message.entries = wire.entries?.length ? entriesFromWire(wire.entries) : NO_ENTRIES;
  message.snapshot = wire.snapshot ? fromSnapshotMeta(wire.snapshot) : null;
  return message;
}

function entriesFromWire(wires: readonly v1.IRaftEntry[]): Entry[] {
  let total = 0;
  for (let i = 0; i < wires.length; i++) total += wires[i]?.data?.length ?? 0;
  const shared = total === 0 ? NO_BYTES : new Uint8Array(total);
  const entries: Entry[] = [];
  let at = 0;
  for (let i = 0; i < wires.length; i++) {
    const wire = wires[i] as v1.IRaftEntry;
    const length = wire.data?.length ?? 0;
    if (wire.data && length > 0) shared.set(wire.data, at);
    const data = length === 0 ? NO_BYTES : shared.subarray(at, at + length);
    at += length;
    entries.push(new Entry(wire.term ?? 0, wire.index ?? 0, (wire.kind ?? 0) as EntryKind, data));
  }
  return entries;
}

/** About the bytes of a message on the wire, for batching and bounds. */
export function messageBytes(wire: v1.IRaftMessage): number {
  let bytes = 48;
  const entries = wire.entries;
  if (entries) for (let i = 0; i < entries.length; i++) bytes += 24 + (entries[i]?.data?.length ?? 0);
  return bytes;
}

function isSafe(value: unknown): boolean {
  return value === undefined || value === null || (Number.isSafeInteger(value) && (value as number) >= 0);
}

function isInteger(value: unknown, max: number): boolean {
  return isSafe(value) && ((value as number | undefined) ?? 0) <= max;
}

/** True for an id that a member can have. */
export function isMemberId(id: unknown): id is number {
  return Number.isInteger(id) && (id as number) >= 1 && (id as number) <= limits.raftIdMax;
}
