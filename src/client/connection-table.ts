/**
 * The states of a session's connection, as data. What is not in the table cannot happen; an event that arrives in a state
 * that has no row for it is a bug and throws.
 */
export type ConnectionState =
  /** Looking for a node that takes the session. */
  | "connecting"
  /** A round of attempts failed; pausing before the next. */
  | "waiting"
  /** Attached to a node; handles are being reconnected. */
  | "reclaiming"
  /** Calls flow. */
  | "ready"
  /** The session is being closed in order. */
  | "closing"
  /** Closed by the caller. */
  | "closed"
  /** The cluster no longer knows the session: handles are gone. */
  | "lost";

/** What moves a connection from state to state. */
export type ConnectionEvent =
  | "attached"
  | "round-failed"
  | "pause-over"
  | "reclaimed"
  | "link-lost"
  | "session-gone"
  | "close"
  | "closed";

type Row = Partial<Record<ConnectionEvent, ConnectionState>>;

/** Every legal move. */
export const CONNECTION_TABLE: Readonly<Record<ConnectionState, Row>> = {
  connecting: { attached: "reclaiming", "round-failed": "waiting", "session-gone": "lost", closed: "closed" },
  waiting: { "pause-over": "connecting", closed: "closed" },
  reclaiming: { reclaimed: "ready", "link-lost": "connecting", closed: "closed" },
  ready: { "link-lost": "connecting", close: "closing", closed: "closed" },
  closing: { "link-lost": "connecting", closed: "closed" },
  closed: {},
  lost: { closed: "closed" },
};

/** The state after `event`; throws for a move that the table does not have. */
export function nextState(state: ConnectionState, event: ConnectionEvent): ConnectionState {
  const next = CONNECTION_TABLE[state][event];
  if (next === undefined) throw new Error(`connection: event "${event}" in state "${state}"`);
  return next;
}
