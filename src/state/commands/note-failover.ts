import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { fail, type Tx } from "../tx.js";

/** Fills in what was measured about a failover. Counts and ids are the state's own; zero and empty change nothing. */
export function noteFailover(tx: Tx, command: v1.INoteFailover): v1.ICommandResult {
  const given = command.record ?? {};
  const row = tx.store.failovers.get(given.id ?? 0);
  if (row === undefined) return fail(ErrorCode.INVALID_ARGUMENT, `no failover ${given.id ?? 0} is known`);
  const r = row.r;
  r.detectUs = given.detectUs || r.detectUs;
  r.electUs = given.electUs || r.electUs;
  r.fenceUs = given.fenceUs || r.fenceUs;
  r.reassignUs = given.reassignUs || r.reassignUs;
  r.reclaimUs = given.reclaimUs || r.reclaimUs;
  r.cause = given.cause || r.cause;
  r.reason = given.reason || r.reason;
  r.wallTime = given.wallTime || r.wallTime;
  tx.store.touch(row);
  tx.emit(EventKind.failover, "", `failover ${r.id}: measured`, { failover: { ...r } });
  return {};
}
