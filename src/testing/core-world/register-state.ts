import { type ConfState, EMPTY_CONF_STATE, type Entry, EntryKind } from "../../raft/index.js";

/** Number of registers that clients write to. */
export const REGISTERS = 5;

/** 32-bit digest of an entry's content: equal entries have equal ones. */
export function entryHash(entry: Entry): number {
  let hash = 0x811c9dc5 ^ entry.kind;
  const { data } = entry;
  for (let i = 0; i < data.length; i++) hash = Math.imul(hash ^ (data[i] as number), 0x01000193);
  return (hash ^ data.length) >>> 0;
}

/** A command: write `serial` to `key`. Padding gives it a size. */
export function encodeWrite(key: number, serial: number, padding: number): Uint8Array {
  const data = new Uint8Array(5 + padding);
  data[0] = key;
  data[1] = serial & 255;
  data[2] = (serial >>> 8) & 255;
  data[3] = (serial >>> 16) & 255;
  data[4] = serial >>> 24;
  return data;
}

/** What `encodeWrite` made, or null for an entry that is no command. */
export function decodeWrite(entry: Entry): { readonly key: number; readonly serial: number } | null {
  const { data } = entry;
  if (entry.kind !== EntryKind.Normal || data.length < 5) return null;
  const serial =
    (data[1] as number) +
    (data[2] as number) * 256 +
    (data[3] as number) * 65536 +
    (data[4] as number) * 16777216;
  return { key: data[0] as number, serial };
}

/** A small state machine: registers and the membership. Immutable, so that disks and snapshots can share it. */
export interface RegisterState {
  readonly index: number;
  readonly term: number;
  readonly digest: number;
  readonly registers: readonly number[];
  readonly confState: ConfState;
  readonly confIndex: number;
}

/** The state with `entry` applied; `confState` is the configuration in force afterwards. */
export function applyEntry(
  state: RegisterState,
  entry: Entry,
  confState: ConfState,
  confIndex: number,
): RegisterState {
  const write = decodeWrite(entry);
  let registers = state.registers;
  if (write !== null) {
    const copy = registers.slice();
    copy[write.key] = write.serial;
    registers = copy;
  }
  const digest =
    (Math.imul(state.digest ^ entryHash(entry), 0x9e3779b1) ^ (entry.term * 31 + (entry.index % 65521))) >>>
    0;
  return { index: entry.index, term: entry.term, digest, registers, confState, confIndex };
}

/** What a member without anything starts from. */
export function emptyState(): RegisterState {
  return {
    index: 0,
    term: 0,
    digest: 0,
    registers: new Array<number>(REGISTERS).fill(0),
    confState: EMPTY_CONF_STATE,
    confIndex: 0,
  };
}
