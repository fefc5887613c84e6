import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { endSession } from "../mechanics/closing.js";
import { checkFence } from "../mechanics/fence.js";
import { noteReturn } from "../mechanics/ownership.js";
import { sessionResult } from "../mechanics/reply.js";
import { SessionRow } from "../tables/sessions.js";
import { failed, type Tx } from "../tx.js";

/**
 * The client is done: all its handles are closed. A repeat finds the session unknown, which is the answer that it wants:
 * nothing of the session is left, not even stored replies.
 */
export function closeSession(tx: Tx, command: v1.ICloseSession): v1.ICommandResult {
  const session = checkFence(tx, command.fence);
  if (!(session instanceof SessionRow)) return failed(session);
  const result = sessionResult(session);
  noteReturn(tx, session, "back");
  endSession(tx, session, "disconnect", "its session was closed");
  tx.emitSession(EventKind.sessionClosed, "", session, `session ${session.r.id} closed`);
  return result;
}
