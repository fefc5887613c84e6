import { v1 } from "../wire/index.js";

/** What a log entry holds, decoded. */
export interface DecodedRecord {
  readonly clusterTimeMs: number;
  readonly origin: number;
  /** Drawn anew by each process: numbers of an earlier life of the same member never match. */
  readonly originBoot: number;
  readonly proposal: number;
  readonly command: Uint8Array;
}

/** Tags and numbers of a record have at most so many bytes; the rest is its command. */
const FRAME_BYTES_MAX = 40;

/**
 * Memory for the records of one append. A buffer for each would be memory outside the JavaScript heap for each, which costs
 * ten times as much as copying the record does. They are cut from the log in order, so none keeps the others for long.
 */
export class RecordSpace {
  private readonly bytes: Uint8Array;
  private used = 0;

  constructor(records: number, commandBytes: number) {
    this.bytes = new Uint8Array(records * FRAME_BYTES_MAX + commandBytes);
  }

  take(size: number): Uint8Array {
    const from = this.used;
    this.used += size;
    if (this.used > this.bytes.length) throw new Error("invariant: the records of an append fit its space");
    return this.bytes.subarray(from, this.used);
  }
}

/**
 * Encodes a `v1.LogRecord` around a command that is already encoded. By hand, because it is done once for every
 * command there is, and the generated code builds a linked list of closures for five fields whose sizes are known.
 */
export function encodeLogRecord(
  clusterTimeMs: number,
  origin: number,
  originBoot: number,
  proposal: number,
  command: Uint8Array,
  space = new RecordSpace(1, command.length),
): Uint8Array {
  const size =
    5 +
    varintBytes(clusterTimeMs) +
    varintBytes(origin) +
    varintBytes(originBoot) +
    varintBytes(proposal) +
    varintBytes(command.length) +
    command.length;
  const bytes = space.take(size);
  let at = 0;
  bytes[at++] = 0x08;
  at = writeVarint(bytes, at, clusterTimeMs);
  bytes[at++] = 0x10;
  at = writeVarint(bytes, at, origin);
  bytes[at++] = 0x18;
  at = writeVarint(bytes, at, originBoot);
  bytes[at++] = 0x20;
  at = writeVarint(bytes, at, proposal);
  bytes[at++] = 0x2a;
  at = writeVarint(bytes, at, command.length);
  bytes.set(command, at);
  return bytes;
}

/** The inverse. Throws RangeError for bytes that hold no record. */
export function decodeLogRecord(bytes: Uint8Array): DecodedRecord {
  const record = v1.LogRecord.decode(bytes);
  return {
    clusterTimeMs: record.clusterTimeMs as number,
    origin: record.origin,
    originBoot: record.originIncarnation as number,
    proposal: record.proposal as number,
    command: record.command,
  };
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80000000) {
    bytes[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 128) {
    bytes[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/**
 * The field number of an encoded command's body, zero when it has none: tells its kind without decoding it. An
 * unknown or foreign layout gives some other number, never an exception.
 */
export function commandKind(command: Uint8Array): number {
  const first = command[0];
  if (first === undefined) return 0;
  if (first < 128) return first >>> 3;
  return ((first & 127) | ((command[1] ?? 0) << 7)) >>> 3;
}
