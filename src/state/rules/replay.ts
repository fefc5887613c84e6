/** What the table knows of a create guid (semantics.md B2). */
export type GuidState =
  | "unknown"
  | "pending"
  | "eligible-here"
  | "eligible-other-session"
  | "eligible-disconnected"
  | "used"
  | "closed";

/**
 * "execute": a new create. "answer": the stored reply. "resume": the stored reply, and the handle is resumed with it.
 * The others are refusals.
 */
export type ReplayOutcome = "execute" | "answer" | "resume" | "duplicate" | "not-available" | "closed";

type Cell = Record<"persistent" | "other", ReplayOutcome>;
const both = (outcome: ReplayOutcome): Cell => ({ persistent: outcome, other: outcome });

/**
 * State of the guid by replay flag and kind of the earlier handle. The three cases "never seen", "seen and answerable" and
 * "used or closed" stay apart, or a replay after a failover would be a second create.
 */
const CELLS: Record<GuidState, Record<"plain" | "replay", Cell>> = {
  unknown: { plain: both("execute"), replay: both("execute") },
  pending: { plain: both("not-available"), replay: both("not-available") },
  "eligible-here": { plain: both("duplicate"), replay: both("answer") },
  "eligible-other-session": { plain: both("duplicate"), replay: both("duplicate") },
  "eligible-disconnected": { plain: both("duplicate"), replay: both("resume") },
  used: { plain: both("execute"), replay: { persistent: "not-available", other: "execute" } },
  closed: { plain: both("execute"), replay: { persistent: "closed", other: "execute" } },
};

/** What a create with a known or unknown guid is. */
export function replayOutcome(state: GuidState, replay: boolean, persistent: boolean): ReplayOutcome {
  return CELLS[state][replay ? "replay" : "plain"][persistent ? "persistent" : "other"];
}
