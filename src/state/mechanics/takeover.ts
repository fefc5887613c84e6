import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { EventKind } from "../events.js";
import type { FailoverRow, NodeRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";
import { awaitClients, type Moved, reownEffects, reownSessions } from "./ownership.js";
import { sessionCandidates } from "./placement.js";

/**
 * Sessions that may get their new owner in one entry. An object, so that tests can cut a takeover of three sessions in
 * pieces; members that differ in it come to different states.
 */
export const takeoverSlice: { sessions: number } = { sessions: limits.takeoverSessionsPerEntry };

/** How many sessions a command moves that asks for so many; zero: it does not say. */
export function sliceFor(sessionsMax: number | null | undefined): number {
  return Math.min(sessionsMax || takeoverSlice.sessions, takeoverSlice.sessions);
}

/**
 * A node that owned more than one entry moves is taken over in several, so that what others do is applied in between:
 * re-owning ten thousand sessions in one go kept everybody waiting for a quarter of a second. Which sessions wait is no
 * record of its own: they are those that the dead incarnation still owns. Nothing can be done with one of them before it
 * has moved, because whatever names it moves it first (`settleSession`).
 */
export function beginTakeover(tx: Tx, node: NodeRow, failover: FailoverRow): void {
  node.r.takeoverId = failover.r.id;
  tx.store.takeovers.add(node);
  tx.store.touch(node);
}

/** Moves the next sessions of a node that died; true when none is left. */
export function continueTakeoverOf(tx: Tx, node: NodeRow, most: number): boolean {
  const failover = tx.store.failovers.get(node.r.takeoverId);
  const why = `${node.r.name} is down`;
  const moved = reownSessions(tx, node, null, why, nextSessions(tx, node, most));
  const done = tx.store.sessions.ofOwner(node.r.name).size === moved.stranded;
  if (done) endTakeover(tx, node);
  reownEffects(tx, node, null);
  if (failover === undefined) return done;
  count(tx, failover, moved);
  if (done) failover.r.reassignUs = Math.max(failover.r.reassignUs, (tx.nowMs - failover.r.begunMs) * 1000);
  tx.emit(EventKind.failover, "", `${moved.sessions} more sessions of ${node.r.name} have new owners`, {
    failover: { ...failover.r },
  });
  return done;
}

/** No session waits any more, or somebody else sees to those that do. */
export function endTakeover(tx: Tx, node: NodeRow): void {
  if (node.r.takeoverId === 0) return;
  node.r.takeoverId = 0;
  node.waiting = null;
  tx.store.takeovers.delete(node);
  tx.store.touch(node);
}

/**
 * A session that waits for its new owner gets it now: for everything that names a session, before it looks at it. So an
 * order that its dead owner sends late meets a newer epoch, and a client that comes early meets a session that has moved.
 */
export function settleSession(tx: Tx, session: SessionRow): void {
  if (tx.store.takeovers.size === 0) return;
  const node = tx.store.nodes.get(session.r.owner);
  if (node === undefined || node.up || node.r.takeoverId === 0) return;
  const moved = reownSessions(tx, node, null, `${node.r.name} is down`, [session]);
  if (moved.sessions === 0) return;
  reownEffects(tx, node, null);
  const failover = tx.store.failovers.get(node.r.takeoverId);
  if (failover !== undefined) count(tx, failover, moved);
}

function count(tx: Tx, failover: FailoverRow, moved: Moved): void {
  const r = failover.r;
  r.sessions += moved.sessions;
  r.handles += moved.handles;
  r.to = [...new Set([...r.to, ...moved.to])].sort();
  tx.store.touch(failover);
  awaitClients(tx, failover, moved.rows);
}

/**
 * The waiting sessions with the lowest ids: every member has to take the same ones. Their order is kept beside the node,
 * derived when it is not there: only fewer can be left than were found once, since a node that is down gets none. Without
 * anybody to take them all come at once, and are marked as left alone.
 */
export function nextSessions(tx: Tx, node: NodeRow, most: number): SessionRow[] {
  const { sessions } = tx.store;
  node.waiting ??= { rows: [...sessions.ofOwner(node.r.name)].sort((a, b) => a.r.id - b.r.id), at: 0 };
  const { waiting } = node;
  const bound = sessionCandidates(tx, node.r.name).length === 0 ? Number.POSITIVE_INFINITY : most;
  const next: SessionRow[] = [];
  while (next.length < bound && waiting.at < waiting.rows.length) {
    const row = waiting.rows[waiting.at++] as SessionRow;
    if (!row.gone && row.r.owner === node.r.name) next.push(row);
  }
  return next;
}

/** What the leader proposes as long as a takeover is under way. */
export function takeoverCommands(takeovers: Iterable<NodeRow>): v1.ICommand[] {
  const rows = [...takeovers].sort((a, b) => (a.r.name < b.r.name ? -1 : 1));
  const sessionsMax = limits.takeoverSessionsWanted;
  return rows.map(({ r }) => ({
    continueTakeover: { node: r.name, incarnation: r.incarnation, sessionsMax },
  }));
}
