import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { EventKind } from "../events.js";
import { beginFailover } from "../mechanics/ownership.js";
import { OperationRow, operationRecord } from "../tables/records.js";
import { fail, type Tx } from "../tx.js";
import { firstProblem, labelProblem } from "../validate.js";

/** An operator's transfer or drain begins, with the plan that a dry run printed. The same id again finds the first. */
export function beginOperation(tx: Tx, command: v1.IBeginOperation): v1.ICommandResult {
  const given = command.operation ?? {};
  const problem = firstProblem(
    labelProblem("operation id", given.id),
    labelProblem("operation kind", given.kind),
    labelProblem("reason", given.reason, true),
    labelProblem("requested by", given.requestedBy, true),
    labelProblem("wall time", given.wallTime, true),
  );
  if (problem !== null) return problem;
  const id = given.id ?? "";
  const there = tx.store.operations.get(id);
  if (there !== undefined) {
    if (planOf(there.r) === planOf(given)) return { operation: { ...there.r }, repeated: true };
    return fail(ErrorCode.REQUEST_MISMATCH, `operation ${id} was begun with another plan`);
  }
  const moved = itemProblem(tx, given);
  if (moved !== null) return moved;
  const failover = beginFailover(tx, {
    kind: given.forced ? "forced" : (given.kind ?? ""),
    cause: "operator",
    reason: given.reason ?? "",
    operationId: id,
    wallTime: given.wallTime ?? "",
    from: given.items?.[0]?.from ?? "",
    to: [...new Set((given.items ?? []).map((item) => item.to ?? ""))].sort(),
  });
  const row = new OperationRow(operationRecord({ ...given, items: (given.items ?? []).map(waiting) }));
  row.r.state = "running";
  row.r.begunMs = tx.nowMs;
  row.r.failoverId = failover.r.id;
  tx.store.operations.set(id, row);
  tx.store.touch(row);
  forgetOldest(tx);
  tx.emit(EventKind.operationBegun, "", `${row.r.kind} ${id}: ${row.r.items.length} to move`, {
    operation: { ...row.r },
  });
  return { operation: { ...row.r } };
}

function waiting(item: v1.IOperationItem): v1.IOperationItem {
  return { ...item, handleId: new Uint8Array(item.handleId ?? []), state: "waiting" };
}

function planOf(operation: v1.IOperationRecord): string {
  const items = (operation.items ?? []).map(
    (item) => `${item.sessionId ?? 0}/${Buffer.from(item.handleId ?? []).toString("hex")}/${item.to ?? ""}`,
  );
  return `${operation.kind ?? ""} ${operation.forced ?? false} ${items.join(" ")}`;
}

/** A plan holds only while the world is as it was when it was made. */
function itemProblem(tx: Tx, given: v1.IOperationRecord): v1.ICommandResult | null {
  for (const item of given.items ?? []) {
    const session = tx.store.sessions.byId.get(item.sessionId ?? 0);
    if (session === undefined)
      return fail(ErrorCode.PRECONDITION_FAILED, `session ${item.sessionId ?? 0} does not exist any more`);
    if (item.epochBefore && session.r.epoch !== item.epochBefore)
      return fail(
        ErrorCode.PRECONDITION_FAILED,
        `session ${session.r.id} is at epoch ${session.r.epoch}, the plan says ${item.epochBefore}`,
        { owner: tx.store.address(session.r.owner), epoch: session.r.epoch, next: "make a new plan" },
      );
  }
  return null;
}

function forgetOldest(tx: Tx): void {
  const { operations } = tx.store;
  for (const oldest of [...operations.values()].sort(byBegin)) {
    if (operations.size <= limits.historyKeptMax) return;
    if (oldest.r.state === "running") continue;
    operations.delete(oldest.r.id);
    tx.store.drop(oldest);
  }
}

function byBegin(a: OperationRow, b: OperationRow): number {
  return a.r.begunMs - b.r.begunMs || (a.r.id < b.r.id ? -1 : 1);
}
