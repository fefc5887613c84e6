import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { endSession } from "../mechanics/closing.js";
import { noteReturn } from "../mechanics/ownership.js";
import { mutant } from "../mutants.js";
import { settleSession } from "../mechanics/takeover.js";
import { fail, type Tx } from "../tx.js";

/**
 * A client did not come back in time. The command names connection and epoch as they were when the leader looked: a
 * client that came back first wins.
 */
export function expireSession(tx: Tx, command: v1.IExpireSession): v1.ICommandResult {
  const session = tx.store.sessions.byId.get(command.sessionId ?? 0);
  if (session === undefined)
    return fail(ErrorCode.UNKNOWN_SESSION, `session ${command.sessionId ?? 0} is unknown`);
  settleSession(tx, session);
  const r = session.r;
  const same = r.connection === (command.connection ?? 0) && r.epoch === (command.epoch ?? 0);
  if ((r.connected || !same) && !mutant.expireWithoutIncarnation)
    return fail(ErrorCode.NO_CHANGE, `session ${r.id} was taken up again`);
  if (tx.nowMs < r.deadlineMs && !mutant.expireEarly)
    return fail(ErrorCode.NO_CHANGE, `session ${r.id} has ${r.deadlineMs - tx.nowMs} ms left`);
  noteReturn(tx, session, "lost");
  endSession(tx, session, "expired", "its client did not come back in time");
  tx.emitSession(EventKind.sessionExpired, "", session, `session ${r.id} expired`);
  return {};
}
