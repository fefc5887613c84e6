import type { Applied, StateView } from "../../state/api.js";
import type { v1 } from "../../wire/index.js";
import { Violation } from "../sim/simulation.js";

/** One command of the log, before it is applied. */
export interface Entry {
  readonly index: number;
  readonly timeMs: number;
  readonly name: string;
  readonly command: v1.ICommand;
  /** An earlier command of the same entry brings the client back: the session is what it makes of it. */
  readonly comesBack: boolean;
  /** The state before and, once applied, after it: records are to be copied when they are kept. */
  readonly view: StateView;
}

/** What a rule has to say once the command was applied. */
export type Finish = (applied: Applied) => void;

/**
 * One promise about what the log may do, stated again in a few lines, without the state machine's tables and indexes.
 * `begin` looks at the state before the command; what it answers looks at the result, and throws a Violation.
 */
export interface Rule {
  begin(entry: Entry): Finish | null;
}

/** An opaque id as a key of a map. */
export function key(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}

/** Throws the finding. */
export function violated(checker: string, entry: Entry, what: string): never {
  throw new Violation(checker, `entry ${entry.index} (${entry.name}): ${what}`);
}

/** A create that was let through: at once, after it was parked, or up to its effect on the file system. */
export interface Grant {
  readonly handle: v1.IHandleRecord;
  readonly status: v1.OpenResult.Status;
  /** The file that stands there so far; empty: none does. */
  readonly fileId: string;
}

/** Creates that this command let through, parked ones that it woke included; no repeats and no replays. */
export function grantsOf(entry: Entry, { result, events }: Applied): Grant[] {
  const grants: Grant[] = [];
  const add = (answer: v1.ICommandResult | null | undefined): void => {
    const open = answer?.open;
    if (!answer || answer.error || answer.repeated || !open?.handle || open.replayed) return;
    // 3 is PARKED.
    if (open.status === 3 || !open.status) return;
    const fileId = (open.effect ? open.effect.fileId : open.handle.fileId) ?? "";
    grants.push({ handle: open.handle, status: open.status, fileId });
  };
  if (entry.name === "openHandle") add(result);
  for (const event of events) add(event.pendingDone?.result);
  return grants;
}

/** Groups of rights that share modes are about: data read 1, written 2, file deleted 4. */
export function groups(access: number): number {
  const read = (access & 0x21) !== 0 ? 1 : 0;
  const write = (access & 0x6) !== 0 ? 2 : 0;
  return read | write | ((access & 0x10000) !== 0 ? 4 : 0);
}

/** What an open lets others do, as the same bits. */
export function shared(mode: v1.IShareMode | null | undefined): number {
  return (mode?.read ? 1 : 0) | (mode?.write ? 2 : 0) | (mode?.delete ? 4 : 0);
}

/** HANDLE_OPEN. */
export const OPEN = 2;
/** PERSISTENT. */
export const PERSISTENT = 4;
/** NODE_UP. */
export const UP = 1;
