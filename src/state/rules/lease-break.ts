import type { LeaseState } from "./lease-state.js";

/** What somebody with another key does to a leased file. */
export type BreakOperation =
  | "attribute-open"
  | "open"
  | "overwrite"
  | "share-conflict"
  | "read"
  | "write"
  | "lock"
  | "rename"
  | "delete"
  | "security"
  | "directory-change";

/** What a lease comes down to, whether the operation waits for the acknowledgement, whether there has to be one. */
export interface BreakRule {
  readonly to: LeaseState;
  readonly wait: boolean;
  readonly ack: boolean;
}

const R: LeaseState = 1;
const RH: LeaseState = 3;
const RW: LeaseState = 5;

const waitFor = (to: LeaseState): BreakRule => ({ to, wait: true, ack: true });
const NONE_SILENT: BreakRule = { to: 0, wait: false, ack: false };
const NONE_UNWAITED: BreakRule = { to: 0, wait: false, ack: true };

const CHANGES_DATA = { 0: null, 1: NONE_SILENT, 3: NONE_UNWAITED, 5: waitFor(0), 7: waitFor(0) } as const;
const TAKES_HANDLES = { 0: null, 1: null, 3: waitFor(R), 5: null, 7: waitFor(RW) } as const;
const READS_DATA = { 0: null, 1: null, 3: null, 5: waitFor(R), 7: waitFor(RH) } as const;

/** Operation by held state (semantics.md F3). A missing cell does not compile. */
const BREAKS: Record<BreakOperation, Record<LeaseState, BreakRule | null>> = {
  "attribute-open": { 0: null, 1: null, 3: null, 5: null, 7: null },
  open: READS_DATA,
  overwrite: CHANGES_DATA,
  "share-conflict": TAKES_HANDLES,
  read: READS_DATA,
  write: CHANGES_DATA,
  lock: CHANGES_DATA,
  rename: TAKES_HANDLES,
  delete: TAKES_HANDLES,
  security: TAKES_HANDLES,
  "directory-change": { 0: null, 1: NONE_SILENT, 3: NONE_UNWAITED, 5: waitFor(0), 7: waitFor(0) },
};

/** What the operation does to a lease in this state; null: nothing. */
export function breakRule(operation: BreakOperation, held: LeaseState): BreakRule | null {
  return BREAKS[operation][held];
}

/** True for the names that commands may use. */
export function isBreakOperation(name: string): name is BreakOperation {
  return Object.hasOwn(BREAKS, name);
}
