import type { Entry } from "../types.js";

/** Bytes of a number as a protobuf varint. */
export function varintBytes(value: number): number {
  if (value < 128) return 1;
  if (value < 16_384) return 2;
  if (value < 2_097_152) return 3;
  if (value < 268_435_456) return 4;
  if (value < 34_359_738_368) return 5;
  if (value < 4_398_046_511_104) return 6;
  return value < 562_949_953_421_312 ? 7 : 8;
}

/**
 * Bytes of an entry as one protobuf record (kind, term, index, data), which is what limits on messages and on handed
 * out ranges count.
 */
export function entryBytes(entry: Entry): number {
  const dataBytes = entry.data.length;
  const head = 4 + varintBytes(entry.term) + varintBytes(entry.index);
  return dataBytes === 0 ? head : head + 1 + varintBytes(dataBytes) + dataBytes;
}

/** Sum of the payloads alone: what windows and the bound of uncommitted bytes count. */
export function payloadBytes(entries: readonly Entry[]): number {
  let sum = 0;
  for (let i = 0; i < entries.length; i++) sum += (entries[i] as Entry).data.length;
  return sum;
}
