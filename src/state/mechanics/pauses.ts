import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import type { FailoverRecord, FailoverRow, OperationRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";

/** Beyond an hour it was no pause; also keeps sums of hostile figures exact. */
const PAUSE_US_MAX = 3_600_000_000;

/**
 * What lies between processes and none of them can measure: the new owner applies a move later than the former one, and
 * the first answer travels to its client. The client's own figures tell how long that was together; so much of it is
 * believed. Beyond that a client has waited for something else, and the difference stays visible.
 */
const BETWEEN_US_MAX = 100_000;

function between(us: number): number {
  return Math.min(BETWEEN_US_MAX, Math.max(0, us));
}

/** One owner's measurement of one session's move, without holes and within bounds. */
interface Pause {
  readonly reassignUs: number;
  readonly reclaimUs: number;
  readonly leadUs: number;
  readonly clientGapUs: number;
}

function bounded(us: number | null | undefined): number {
  return Math.min(PAUSE_US_MAX, us ?? 0);
}

/**
 * Takes in what was measured of a session's latest move. The record of the failover or transfer keeps the phases of the
 * session that waited longest, so that they add up to a pause that somebody has seen. Answers the record, or null when
 * it is not kept any more.
 */
export function notePause(tx: Tx, session: SessionRow, given: v1.ISessionPause): FailoverRow | null {
  const row = tx.store.failovers.get(session.r.movedBy);
  if (row === undefined) return null;
  const pause: Pause = {
    reassignUs: bounded(given.reassignUs),
    reclaimUs: bounded(given.reclaimUs),
    leadUs: bounded(given.leadUs),
    clientGapUs: bounded(given.clientGapUs),
  };
  const operation = tx.store.operations.get(row.r.operationId);
  const planned = operation !== undefined && row.r.detectUs + row.r.electUs === 0;
  if (planned) noteMove(tx, row.r, operation, session, pause);
  else noteTakeover(tx, row.r, session, pause);
  row.r.clientGapUs = Math.max(row.r.clientGapUs, pause.clientGapUs);
  tx.store.touch(row);
  return row;
}

/** Tells watchers of a record with figures that it did not have before. */
export function emitMeasured(tx: Tx, row: FailoverRow): void {
  tx.emit(EventKind.failover, "", `failover ${row.r.id}: measured`, { failover: { ...row.r } });
}

function noteMove(
  tx: Tx,
  record: FailoverRecord,
  operation: OperationRow,
  session: SessionRow,
  pause: Pause,
): void {
  const at = operation.r.items.findIndex(
    (item) => namesSession(item, session) && item.epochAfter === session.r.epoch,
  );
  const item = operation.r.items[at];
  // Measured already: a later return of its client to the same owner is another matter.
  if (item === undefined || (pause.reclaimUs > 0 && item.reclaimUs)) return;
  if (pause.reclaimUs > 0) record.sessionsMeasured++;
  const { fenceUs, reassignUs, reclaimUs, clientGapUs } = item.reclaimUs
    ? releasedLate(item, pause.reassignUs)
    : moved(item, pause);
  operation.r.items = operation.r.items.with(at, { ...item, fenceUs, reassignUs, reclaimUs, clientGapUs });
  tx.store.touch(operation);
  const sum = fenceUs + reassignUs + reclaimUs;
  const slowest = record.fenceUs + record.reassignUs + record.reclaimUs;
  if (record.slowestSession !== session.r.id && sum <= slowest) return;
  record.slowestSession = session.r.id;
  record.fenceUs = fenceUs;
  record.reassignUs = reassignUs;
  record.reclaimUs = reclaimUs;
}

/** An item for one handle names the session that the handle has left; what moved is the one derived for it. */
function namesSession(item: v1.IOperationItem, session: SessionRow): boolean {
  const { id, derivedFrom } = session.r;
  return item.sessionId === (item.handleId?.length ? derivedFrom : id);
}

interface MovePhases {
  readonly fenceUs: number;
  readonly reassignUs: number;
  readonly reclaimUs: number;
  readonly clientGapUs: number;
}

function moved(item: v1.IOperationItem, pause: Pause): MovePhases {
  let reassignUs = Math.max(pause.reassignUs, item.reassignUs ?? 0);
  let fenceUs = item.fenceUs ?? 0;
  if (pause.leadUs > 0) {
    // The message that tells the lead is on its way meanwhile, so that it falls short by that; the gap tells the rest.
    const mostUs = Math.max(pause.leadUs, pause.clientGapUs - pause.reclaimUs);
    // What was answered after the freeze was no pause yet: the client knows when its last answer came.
    fenceUs = Math.min(fenceUs, Math.max(0, mostUs - reassignUs));
    // Where the new owner applies it earlier than the former one has noticed, its client does not wait for the former one.
    reassignUs = Math.min(reassignUs, mostUs);
  }
  reassignUs += between(pause.leadUs - fenceUs - reassignUs);
  const reclaimUs = fitted(pause, fenceUs + reassignUs);
  return { fenceUs, reassignUs, reclaimUs, clientGapUs: pause.clientGapUs };
}

/**
 * Reclaim as the client's own figure has it: longer by what lies between the processes, shorter by the time in which the
 * former owner's last answers still came in while the client was at the new one already. Within the same bound both ways,
 * and never nothing.
 */
function fitted(pause: Pause, beforeUs: number): number {
  const { clientGapUs, reclaimUs } = pause;
  if (clientGapUs === 0) return reclaimUs;
  const missingUs = clientGapUs - beforeUs - reclaimUs;
  return missingUs >= 0
    ? reclaimUs + between(missingUs)
    : Math.max(Math.min(1, reclaimUs), reclaimUs - between(-missingUs));
}

/** The former owner's figure comes after the new owner's: it only divides anew what those have told together. */
function releasedLate(item: v1.IOperationItem, releaseUs: number): MovePhases {
  const togetherUs = (item.fenceUs ?? 0) + (item.reassignUs ?? 0);
  const reassignUs = Math.min(releaseUs, togetherUs);
  const { reclaimUs, clientGapUs } = item;
  const fenceUs = togetherUs - reassignUs;
  return { fenceUs, reassignUs, reclaimUs: reclaimUs ?? 0, clientGapUs: clientGapUs ?? 0 };
}

/**
 * The least lead: the client's last answer came when the new owner had applied the move already, so that no phase before
 * that was a pause to it. Zero: nobody knows when the last answer came.
 */
const NO_LEAD_US = 1;

function noteTakeover(tx: Tx, record: FailoverRecord, session: SessionRow, pause: Pause): void {
  // Without any lead this client has not waited for the takeover; that says nothing of those that have.
  if (pause.leadUs > NO_LEAD_US) align(record, pause.leadUs);
  if (pause.reclaimUs === 0) return;
  record.sessionsMeasured++;
  // Its owner has said what there was to say: a repeat of the same command counts for nothing.
  session.r.movedBy = 0;
  tx.store.touch(session);
  const beforeUs = record.detectUs + record.electUs + record.fenceUs + record.reassignUs;
  const reclaimUs = pause.reclaimUs + between(pause.clientGapUs - beforeUs - pause.reclaimUs);
  if (reclaimUs <= record.reclaimUs) return;
  record.reclaimUs = reclaimUs;
  record.slowestSession = session.r.id;
}

/**
 * A client's last answer is a sign of life of its owner, and may be later than the last one that a coordinator had: a
 * stopped process sends no heartbeat for up to one interval before anybody could have noticed. Or earlier, where a
 * coordinator went by a broken connection that it noticed late; but never earlier than the last heartbeat. Where
 * coordinators knew nothing at all (the node was back before its lease ran out), the client's word is all there is.
 */
function align(record: FailoverRecord, leadUs: number): void {
  const knownUs = record.detectUs + record.electUs + record.fenceUs;
  if (knownUs === 0) {
    record.detectUs = Math.max(0, leadUs - record.reassignUs);
    return;
  }
  let excessUs = knownUs + record.reassignUs - leadUs;
  if (excessUs < 0) {
    const moreUs = Math.min(-excessUs, record.detectSlackUs);
    record.detectUs += moreUs;
    record.detectSlackUs -= moreUs;
    return;
  }
  // A later sign of life than was known is proof: no other client's waiting makes detect longer again.
  record.detectSlackUs = 0;
  for (const phase of ["detectUs", "electUs", "fenceUs"] as const) {
    if (excessUs <= 0) return;
    const cutUs = Math.min(excessUs, record[phase]);
    record[phase] -= cutUs;
    excessUs -= cutUs;
  }
}
