import type { v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import type { Tx } from "../tx.js";

/** Notes how far one item of an operation has come. Unknown operations are nobody's: nothing is noted. */
export function noteItem(
  tx: Tx,
  operationId: string,
  sessionId: number,
  state: "waiting" | "frozen" | "moved" | "failed",
  more: Partial<v1.IOperationItem> = {},
): void {
  const operation = tx.store.operations.get(operationId);
  if (operation === undefined) return;
  const handleId = idOf(more.handleId);
  const items = operation.r.items;
  const at = items.findIndex(
    (item) => item.sessionId === sessionId && (handleId === "" || idOf(item.handleId) === handleId),
  );
  const item = items[at];
  if (item === undefined) return;
  operation.r.items = items.with(at, { ...item, ...more, state });
  tx.store.touch(operation);
}
