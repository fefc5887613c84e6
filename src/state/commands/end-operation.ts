import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { thaw } from "../mechanics/thawing.js";
import { fail, type Tx } from "../tx.js";

const ENDS: ReadonlySet<string> = new Set(["done", "failed", "cancelled"]);

/** An operation is over. What it froze and did not move is thawed: nothing stays frozen for an operation that is no more. */
export function endOperation(tx: Tx, command: v1.IEndOperation): v1.ICommandResult {
  const id = command.id ?? "";
  const operation = tx.store.operations.get(id);
  if (operation === undefined)
    return fail(ErrorCode.UNKNOWN_OPERATION, `no operation ${id} is known`, { next: "holdfast ops list" });
  const state = command.state ?? "";
  if (!ENDS.has(state))
    return fail(
      ErrorCode.INVALID_ARGUMENT,
      `an operation ends as done, failed or cancelled, not as "${state}"`,
    );
  if (operation.r.state !== "running") {
    if (operation.r.state === state) return { operation: { ...operation.r }, repeated: true };
    return fail(ErrorCode.NO_CHANGE, `operation ${id} is ${operation.r.state} already`);
  }
  operation.r.state = state;
  operation.r.error = command.error ?? "";
  operation.r.endedMs = tx.nowMs;
  tx.store.touch(operation);
  for (const item of operation.r.items) {
    const session = tx.store.sessions.byId.get(item.sessionId ?? 0);
    if (session !== undefined) thaw(tx, session, id);
  }
  tx.emit(EventKind.operationEnded, "", `operation ${id} ${state}`, { operation: { ...operation.r } });
  return { operation: { ...operation.r } };
}
