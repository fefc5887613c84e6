import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { continueTakeoverOf, sliceFor } from "../mechanics/takeover.js";
import { fail, type Tx } from "../tx.js";

/**
 * Gives the next sessions of a node that died their new owners. Proposed by whoever leads until none is left; one that
 * comes late, after the last or for another incarnation, does nothing.
 */
export function continueTakeover(tx: Tx, command: v1.IContinueTakeover): v1.ICommandResult {
  const node = tx.store.nodes.get(command.node ?? "");
  if (node === undefined || node.r.incarnation !== command.incarnation || node.r.takeoverId === 0)
    return fail(ErrorCode.NO_CHANGE, `no session of ${command.node ?? ""} waits for a new owner`);
  continueTakeoverOf(tx, node, sliceFor(command.sessionsMax));
  return {};
}
