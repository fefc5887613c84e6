import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { keyFence } from "../mechanics/key-fence.js";
import { fail, type Tx } from "../tx.js";

/** The owner needs a key no more. */
export function releaseKey(tx: Tx, command: v1.IReleaseKey): v1.ICommandResult {
  const key = command.key ?? "";
  const found = keyFence(tx, key, command.node ?? "", command.nodeIncarnation ?? 0, command.epoch ?? 0);
  if ("error" in found) return found;
  const open = tx.store.effects.ofKey(key)[0];
  if (open !== undefined)
    return fail(ErrorCode.PRECONDITION_FAILED, `effect ${open.r.id} under the key has no outcome yet`);
  tx.store.keys.remove(found.row);
  tx.store.drop(found.row);
  tx.emit(EventKind.keyReleased, "", `key ${key} released by ${found.row.owner}`);
  return {};
}
