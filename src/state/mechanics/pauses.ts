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
    (item) => item.sessionId === session.r.id && item.epochAfter === session.r.epoch,
  );
  const item = operation.r.items[at];
  // Measured already: a later return of its client to the same owner is another matter.
  if (item === undefined || (pause.reclaimUs > 0 && item.reclaimUs)) return;
  if (pause.reclaimUs > 0) record.sessionsMeasured++;
  let reassignUs = Math.max(pause.reassignUs, item.reassignUs ?? 0);
  let reclaimUs = pause.reclaimUs || item.reclaimUs || 0;
  // What was answered after the freeze was no pause yet: the client knows when its last answer came.
  const fenceUs =
    pause.leadUs > 0
      ? Math.min(item.fenceUs ?? 0, Math.max(0, pause.leadUs - reassignUs))
      : (item.fenceUs ?? 0);
  // The new owner applies the move later than the former one, which measured it: the rest of the client's wait.
  reassignUs += between(pause.leadUs - fenceUs - reassignUs);
  const clientGapUs = pause.clientGapUs || item.clientGapUs || 0;
  reclaimUs += between(clientGapUs - fenceUs - reassignUs - reclaimUs);
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

function noteTakeover(tx: Tx, record: FailoverRecord, session: SessionRow, pause: Pause): void {
  if (pause.leadUs > 0) align(record, pause.leadUs);
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
