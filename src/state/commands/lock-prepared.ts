import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { checkNode } from "../mechanics/fence.js";
import { nodePrepared } from "../mechanics/locking.js";
import { noteFileSize } from "../mechanics/tails.js";
import { fail, failed, type Tx } from "../tx.js";

/** A node enforces an announced lock: one answer fewer to wait for. */
export function lockPrepared(tx: Tx, command: v1.ILockPrepared): v1.ICommandResult {
  const node = command.node ?? "";
  const incarnation = command.nodeIncarnation ?? 0;
  const refused = checkNode(tx, node, incarnation);
  if (refused !== null) return failed(refused);
  const pending = tx.store.pending.byId.get(command.pendingId ?? 0);
  if (pending === undefined)
    return fail(ErrorCode.NO_CHANGE, `lock ${command.pendingId ?? 0} is not waiting any more`);
  noteFileSize(tx, pending, command.fileSize ?? 0);
  nodePrepared(tx, pending, node, incarnation);
  return {};
}
