import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { mutant } from "../mutants.js";
import type { FailoverRow, NodeRow } from "../tables/records.js";
import { FailoverRow as Failover, failoverRecord } from "../tables/records.js";
import { DISCONNECTS_KEPT, type SessionRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";
import { limits } from "../../wire/limits.js";
import { closeHandle, tellOwner } from "./closing.js";
import { nodeGone } from "./locking.js";
import { byHandleId } from "./order.js";
import { keyCandidates, placeNumber, placeText, sessionCandidates } from "./placement.js";

/** What moved. */
export interface Moved {
  sessions: number;
  handles: number;
  keys: number;
  /** Sessions that nobody could take. */
  stranded: number;
  readonly to: Set<string>;
  readonly rows: SessionRow[];
}

/**
 * Gives a session to another owner: the epoch counts, and the client has its full timeout to come (semantics.md D2, D4).
 * Its handles are not touched; that they are disconnected follows from the session.
 */
export function moveSession(
  tx: Tx,
  session: SessionRow,
  node: string,
  incarnation: number,
  why: string,
): void {
  const r = session.r;
  const from = r.owner;
  markDisconnected(tx, session);
  const fence = owesFence(tx, session, node);
  r.previousOwner = from;
  tx.store.sessions.setOwner(session, node, incarnation);
  r.epoch++;
  r.frozenBy = "";
  // A client that settles elsewhere after a takeover is still on its way back from it.
  r.movedBy = r.failoverId;
  closeFragile(tx, session);
  r.takenOver = fence || tx.store.effects.sessionHasAny(r.id);
  if (mutant.replyForgottenOnTakeover) {
    for (const slot of session.slots?.values() ?? []) tx.store.drop(slot);
    session.slots = null;
  }
  if (!r.takenOver) tx.wakeSession(session);
  tx.touchSession(session);
  tx.emitSession(
    EventKind.sessionMoved,
    "",
    session,
    `session ${r.id} moved from ${from} to ${node}: ${why}`,
  );
}

/**
 * True when a node that fences (label "fence") takes a session over whose former owner cannot say that nothing of it runs
 * any more: because it is down, or because it had itself not finished with its predecessor. Without the second a client
 * that settles elsewhere at once would take its files along unfenced.
 */
function owesFence(tx: Tx, session: SessionRow, to: string): boolean {
  const r = session.r;
  if (to === r.owner || session.liveHandles === 0) return false;
  if (tx.store.nodes.get(to)?.r.labels?.["fence"] !== "copy-on-takeover") return false;
  return r.takenOver || !(tx.store.nodes.get(r.owner)?.up ?? false);
}

/** What does not survive its server ends with it; nothing is deleted because of that. */
function closeFragile(tx: Tx, session: SessionRow): void {
  if (session.fragile === 0) return;
  const fragile = [...session.handles].filter(
    (handle) => handle.isOpen && handle.kind !== v1.HandleKind.PERSISTENT,
  );
  for (const handle of fragile.sort(byHandleId))
    closeHandle(tx, handle, "lost", "its server is gone, and it was not persistent");
}

/** The session's client is away from now on; its handles' deadlines follow from the note. */
export function markDisconnected(tx: Tx, session: SessionRow): void {
  const r = session.r;
  if (!r.connected) return;
  r.connected = false;
  r.disconnects = [...r.disconnects, { connection: r.connection, atMs: tx.nowMs }].slice(-DISCONNECTS_KEPT);
  r.deadlineMs = tx.nowMs + Math.max(r.timeoutMs, r.handleTimeoutMaxMs);
  tx.store.deadlines.schedule(session, tx.nowMs + Math.min(r.timeoutMs, session.handleTimeoutMinMs));
  tx.store.deadlines.schedule(session, r.deadlineMs);
  tx.touchSession(session);
}

/** True until its owner, which is up, has said that nothing of the session runs there (DisconnectSession). */
export function mayRun(tx: Tx, session: SessionRow): boolean {
  const { r } = session;
  const node = tx.store.nodes.get(r.owner);
  return r.connected && node !== undefined && node.up && node.r.incarnation === r.ownerIncarnation;
}

/**
 * Re-owns everything of an incarnation at once: sessions one by one, handles not at all. Survivors are chosen by a
 * rule that every member computes alike. `heir`: everything goes to this node (it is the same one, started again).
 */
export function reownAll(tx: Tx, node: NodeRow, heir: NodeRow | null, why: string): Moved {
  const sessions = [...tx.store.sessions.ofOwner(node.r.name)].sort((a, b) => a.r.id - b.r.id);
  const moved = reownSessions(tx, node, heir, why, sessions);
  reownRest(tx, node, heir, moved);
  return moved;
}

/** What of an incarnation is no session: keys, effects, and the answers that others wait for. */
export function reownRest(tx: Tx, node: NodeRow, heir: NodeRow | null, moved: Moved): void {
  moved.keys = reownKeys(tx, node, heir, moved.to);
  reownEffects(tx, node, heir);
  nodeGone(tx, node.r.name, heir === null ? node.r.incarnation : heir.r.incarnation - 1);
}

/** Gives these sessions of the node to `heir`, or each to the node that the rule says. */
export function reownSessions(
  tx: Tx,
  node: NodeRow,
  heir: NodeRow | null,
  why: string,
  sessions: readonly SessionRow[],
): Moved {
  const moved: Moved = { sessions: 0, handles: 0, keys: 0, stranded: 0, to: new Set(), rows: [] };
  const candidates = heir === null ? sessionCandidates(tx, node.r.name) : [];
  for (const session of sessions) {
    if (session.r.ownerIncarnation === heir?.r.incarnation) continue;
    const target = heir ?? placeNumber(candidates, session.r.id);
    if (target === null) {
      moved.stranded++;
      markDisconnected(tx, session);
      continue;
    }
    moved.sessions++;
    moved.handles += session.liveHandles;
    moved.to.add(target.r.name);
    moved.rows.push(session);
    moveSession(tx, session, target.r.name, target.r.incarnation, why);
  }
  return moved;
}

type Candidates = ReturnType<typeof sessionCandidates>;

/** Whoever owns the session resolves its effects; what belongs to no session goes to somebody who is up. */
export function reownEffects(tx: Tx, node: NodeRow, heir: NodeRow | null): void {
  if (mutant.effectNotHandedOver) return;
  const name = node.r.name;
  const candidates = heir === null ? sessionCandidates(tx, name) : [];
  for (const effect of tx.store.effects.ofOwner(name)) {
    if (node.r.takeoverId !== 0 && sessionWaits(tx, effect.r, name)) continue;
    const target = heir ?? effectHeir(tx, effect.r, name, candidates);
    if (target === null || !target.up) continue;
    if (effect.r.owner === target.r.name && effect.r.ownerIncarnation === target.r.incarnation) continue;
    tx.store.effects.setOwner(effect, target.r.name, target.r.incarnation);
    effect.r.handedOver++;
    tx.store.touch(effect);
    tellOwner(tx, effect);
  }
}

/** Its session has not moved yet: the effect goes where the session will go. */
function sessionWaits(tx: Tx, effect: v1.IEffectRecord, from: string): boolean {
  return tx.store.sessions.byId.get(effect.sessionId ?? 0)?.r.owner === from;
}

function effectHeir(tx: Tx, effect: v1.IEffectRecord, from: string, candidates: Candidates): NodeRow | null {
  const key = effect.key ? tx.store.keys.byName.get(effect.key) : undefined;
  const session = tx.store.sessions.byId.get(effect.sessionId ?? 0);
  const owner = key?.owner ?? session?.r.owner;
  if (owner !== undefined && owner !== from) return tx.store.nodes.get(owner) ?? null;
  // Only its like can resolve what a file server that is not ours announced: it waits with its key.
  if (key !== undefined) return null;
  return placeNumber(candidates, effect.id ?? 0);
}

function reownKeys(tx: Tx, node: NodeRow, heir: NodeRow | null, to: Set<string>): number {
  const keys = tx.store.keys.ofOwner(node.r.name);
  if (keys.size === 0) return 0;
  const candidates = heir === null ? keyCandidates(tx, node) : [];
  let moved = 0;
  for (const key of [...keys].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    const target = heir ?? placeText(candidates, key.key);
    if (target === null) {
      key.deadlineMs = key.timeoutMs === 0 ? 0 : tx.nowMs + key.timeoutMs;
      if (key.deadlineMs !== 0) tx.store.deadlines.schedule(key, key.deadlineMs);
    } else {
      moved++;
      to.add(target.r.name);
      tx.store.keys.setOwner(key, target.r.name, target.r.incarnation);
      key.epoch++;
      key.deadlineMs = 0;
      tx.emit(EventKind.keyMoved, target.r.name, `key ${key.key} moved from ${node.r.name}`, {
        key: key.toRecord(),
      });
    }
    key.changedRevision = tx.revision;
    tx.store.touch(key);
  }
  return moved;
}

/** Starts the history record of a takeover or transfer. */
export function beginFailover(tx: Tx, record: v1.IFailoverRecord): FailoverRow {
  const { failovers } = tx.store;
  const row = new Failover(
    failoverRecord({ ...record, id: tx.store.nextFailoverId(), begunMs: tx.nowMs, revision: tx.revision }),
  );
  failovers.set(row.r.id, row);
  tx.store.touch(row);
  for (const oldest of failovers.values()) {
    if (failovers.size <= limits.historyKeptMax) break;
    failovers.delete(oldest.r.id);
    tx.store.drop(oldest);
  }
  return row;
}

/** Notes with which takeover a session waits for its client. */
export function awaitClients(tx: Tx, failover: FailoverRow, sessions: Iterable<SessionRow>): void {
  for (const session of sessions) {
    noteReturn(tx, session, "moved on");
    session.r.failoverId = failover.r.id;
    session.r.movedBy = failover.r.id;
    tx.store.touch(session);
  }
}

/**
 * A client has come back after a takeover, will not come any more, or its session has moved again before: no return counts
 * for the earlier takeover then. Both of the latter are in its figure of the lost, so that what is awaited is always the
 * sessions without those that are back and lost; those that moved on are told apart within it.
 */
export function noteReturn(tx: Tx, session: SessionRow, how: "back" | "lost" | "moved on"): void {
  const id = session.r.failoverId;
  if (id === 0) return;
  session.r.failoverId = 0;
  tx.store.touch(session);
  const row = tx.store.failovers.get(id);
  if (row === undefined) return;
  if (how === "back") row.r.sessionsBack++;
  else row.r.sessionsLost++;
  if (how === "moved on") row.r.sessionsMovedOn++;
  tx.store.touch(row);
}
