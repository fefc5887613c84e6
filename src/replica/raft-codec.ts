import { type ConfState, Entry, Message, type MessageKind, type SnapshotMeta } from "../raft/index.js";
import type { EntryKind } from "../raft/index.js";
import type { v1 } from "../wire/index.js";

/** A message of the core in wire form. Fields that are zero stay away, so that an acknowledgement is a few bytes. */
export function messageToWire(message: Message): v1.IRaftMessage {
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
  if (message.entries.length > 0) wire.entries = message.entries as unknown as v1.IRaftEntry[];
  if (message.snapshot !== null) wire.snapshot = snapshotToWire(message.snapshot);
  return wire;
}

/**
 * From wire form. The frame was checked for its sender by the transport; `from` is what that says. Throws RangeError for
 * numbers that no member sends.
 */
export function messageFromWire(wire: v1.IRaftMessage, from: number): Message {
  const message = new Message((wire.kind ?? 0) as MessageKind, from, wire.to ?? 0, num(wire.term));
  message.logTerm = num(wire.logTerm);
  message.index = num(wire.index);
  message.commit = num(wire.commit);
  message.reject = wire.reject ?? false;
  message.rejectHint = num(wire.rejectHint);
  message.readPosition = num(wire.readPosition);
  message.readRequest = num(wire.readRequest);
  message.session = num(wire.session);
  message.forced = wire.forced ?? false;
  const entries = wire.entries;
  if (entries && entries.length > 0) {
    const own = new Array<Entry>(entries.length);
    for (let i = 0; i < entries.length; i++) own[i] = entryFromWire(entries[i] as v1.IRaftEntry);
    message.entries = own;
  }
  if (wire.snapshot) message.snapshot = snapshotFromWire(wire.snapshot);
  return message;
}

function entryFromWire(wire: v1.IRaftEntry): Entry {
  return new Entry(num(wire.term), num(wire.index), (wire.kind ?? 0) as EntryKind, wire.data ?? NO_BYTES);
}

const NO_BYTES = new Uint8Array(0);

function num(value: number | bigint | null | undefined): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== "number") throw new RangeError(`a peer sent ${value} where 2^53-1 is the most`);
  return value;
}

/** A snapshot's description in wire form. */
export function snapshotToWire(meta: SnapshotMeta): v1.ISnapshotMeta {
  const { confState } = meta;
  return {
    index: meta.index,
    term: meta.term,
    confIndex: meta.confIndex ?? 0,
    confState: {
      voters: [...confState.voters],
      votersOutgoing: [...confState.votersOutgoing],
      learners: [...confState.learners],
      learnersNext: [...confState.learnersNext],
      autoLeave: confState.autoLeave,
    },
  };
}

/** From wire form. */
export function snapshotFromWire(wire: v1.ISnapshotMeta): SnapshotMeta {
  const confState: ConfState = {
    voters: wire.confState?.voters ?? [],
    votersOutgoing: wire.confState?.votersOutgoing ?? [],
    learners: wire.confState?.learners ?? [],
    learnersNext: wire.confState?.learnersNext ?? [],
    autoLeave: wire.confState?.autoLeave ?? false,
  };
  return { index: num(wire.index), term: num(wire.term), confState, confIndex: num(wire.confIndex) };
}
