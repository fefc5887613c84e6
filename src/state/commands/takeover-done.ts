import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { checkFence } from "../mechanics/fence.js";
import { sessionResult } from "../mechanics/reply.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";

/** The new owner has resolved every effect that came with the session: its client's calls may run. */
export function takeoverDone(tx: Tx, command: v1.ITakeoverDone): v1.ICommandResult {
  const session = checkFence(tx, command.fence, { whileFrozen: true, whileTakenOver: true });
  if (!(session instanceof SessionRow)) return failed(session);
  // A fence of the new owner's own counts too: its copy must not take the place of a file that is written to again.
  const open = tx.store.effects
    .ofSession(session.r.id)
    .find(({ r }) => r.handedOver > 0 || r.kind === v1.EffectKind.EFFECT_FENCE);
  if (open !== undefined)
    return fail(
      ErrorCode.PRECONDITION_FAILED,
      `effect ${open.r.id} of session ${session.r.id} is not resolved yet`,
      {
        next: "resolve and finish every effect of the session first",
      },
    );
  if (session.r.takenOver) {
    session.r.takenOver = false;
    tx.touchSession(session);
    tx.wakeSession(session);
    tx.emitSession(
      EventKind.sessionReady,
      "",
      session,
      `session ${session.r.id} is ready at ${session.r.owner}`,
    );
  }
  return sessionResult(session);
}
