import type { LeaseState } from "./lease-state.js";

/** What somebody wants of a file whose holder is away. */
export type Contender = "attribute" | "compatible" | "overwrite" | "share-conflict";

/**
 * "free": as if nobody held it. "unavailable": FILE_NOT_AVAILABLE, at once. "rules": the rules for connected holders, with
 * the break stored until the holder is back.
 */
export type ContentionOutcome = "free" | "unavailable" | "rules";

type Cells = Record<LeaseState, Record<Contender, ContentionOutcome>>;

const REFUSED: Record<Contender, ContentionOutcome> = {
  attribute: "free",
  compatible: "unavailable",
  overwrite: "unavailable",
  "share-conflict": "unavailable",
};
const BY_RULES: Record<Contender, ContentionOutcome> = {
  attribute: "free",
  compatible: "rules",
  overwrite: "rules",
  "share-conflict": "rules",
};

/** Holder's lease by contender (semantics.md C5): without H the file is closed to everybody until the holder is back. */
const WITHOUT_LOCKS: Cells = { 0: REFUSED, 1: REFUSED, 3: BY_RULES, 5: REFUSED, 7: BY_RULES };

/** With byte-range locks only RWH keeps the door open: others would have to be told of the locks by the holder. */
const WITH_LOCKS: Cells = { 0: REFUSED, 1: REFUSED, 3: REFUSED, 5: REFUSED, 7: BY_RULES };

/** What a contender gets while a protected holder is disconnected. */
export function contention(
  holder: LeaseState,
  holderHasLocks: boolean,
  contender: Contender,
): ContentionOutcome {
  return (holderHasLocks ? WITH_LOCKS : WITHOUT_LOCKS)[holder][contender];
}
