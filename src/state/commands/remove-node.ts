import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { endTakeover } from "../mechanics/takeover.js";
import { fail, type Tx } from "../tx.js";

/** Forgets a file node that is down and owns nothing. Its name may come back with any incarnation then. */
export function removeNode(tx: Tx, command: v1.IRemoveNode): v1.ICommandResult {
  const name = command.node ?? "";
  const node = tx.store.nodes.get(name);
  if (node === undefined) return fail(ErrorCode.UNKNOWN_NODE, `no file node named "${name}" is registered`);
  if (node.up)
    return fail(ErrorCode.PRECONDITION_FAILED, `node ${name} is up`, { next: "drain and stop it first" });
  const owned =
    tx.store.sessions.ofOwner(name).size +
    tx.store.keys.ofOwner(name).size +
    tx.store.effects.ofOwner(name).length;
  if (owned > 0)
    return fail(ErrorCode.PRECONDITION_FAILED, `node ${name} still owns ${owned} sessions, keys or effects`);
  endTakeover(tx, node);
  tx.store.nodes.delete(name);
  tx.store.drop(node);
  tx.emit(EventKind.nodeLeft, "", `node ${name} was removed`);
  return {};
}
