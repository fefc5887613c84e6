import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { checkFence } from "../mechanics/fence.js";
import { noteItem } from "../mechanics/operations.js";
import { sessionResult } from "../mechanics/reply.js";
import { thaw } from "../mechanics/thawing.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";
import { labelProblem } from "../validate.js";

/** The owner takes no new calls of a session while it is handed over; or takes them again. */
export function freezeSession(tx: Tx, command: v1.IFreezeSession): v1.ICommandResult {
  const session = checkFence(tx, command.fence, { whileFrozen: true });
  if (!(session instanceof SessionRow)) return failed(session);
  const id = command.operationId ?? "";
  const problem = labelProblem("operation id", id);
  if (problem !== null) return problem;
  const r = session.r;
  if (r.frozenBy !== "" && r.frozenBy !== id)
    return fail(ErrorCode.FROZEN, `session ${r.id} is being transferred by operation ${r.frozenBy}`);
  const frozen = !command.thaw;
  if ((r.frozenBy !== "") === frozen) return sessionResult(session);
  noteItem(tx, id, r.id, frozen ? "frozen" : "waiting");
  if (!frozen) thaw(tx, session, id);
  else {
    r.frozenBy = id;
    tx.touchSession(session);
    tx.emitSession(EventKind.sessionFrozen, r.owner, session, `session ${r.id} is frozen by operation ${id}`);
  }
  return sessionResult(session);
}
