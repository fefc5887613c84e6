import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { closeAtDisconnect } from "../mechanics/disconnecting.js";
import { checkFence } from "../mechanics/fence.js";
import { markDisconnected } from "../mechanics/ownership.js";
import { sessionResult } from "../mechanics/reply.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";

/** The owner has lost the client and runs nothing of the session any more. Names the connection: a later one lives. */
export function disconnectSession(tx: Tx, command: v1.IDisconnectSession): v1.ICommandResult {
  const session = checkFence(tx, command.fence, { whileFrozen: true, whileTakenOver: true });
  if (!(session instanceof SessionRow)) return failed(session);
  if (!session.r.connected || session.r.connection !== command.connection)
    return fail(
      ErrorCode.NO_CHANGE,
      `connection ${command.connection ?? 0} of session ${session.r.id} is not the present one`,
    );
  markDisconnected(tx, session);
  closeAtDisconnect(tx, session);
  tx.emitSession(EventKind.sessionDisconnected, "", session, `session ${session.r.id} lost its client`);
  return sessionResult(session);
}
