import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { checkFence } from "../mechanics/fence.js";
import { cancelIdentity } from "../mechanics/identity.js";
import { finishPending } from "../mechanics/parking.js";
import { onceOnly } from "../mechanics/reply-cache.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";

/** Cancels a parked call of this session: its answer is CANCELLED. A call that is done already is not changed. */
export function cancelPending(tx: Tx, command: v1.ICancelPending): v1.ICommandResult {
  const session = checkFence(tx, command.fence, { whileFrozen: true, whileTakenOver: true });
  if (!(session instanceof SessionRow)) return failed(session);
  return onceOnly(
    tx,
    session,
    command.request,
    () => cancelIdentity(command),
    () => {
      const id = command.pendingId ?? 0;
      const pending = tx.store.pending.byId.get(id);
      if (pending === undefined || pending.r.sessionId !== session.r.id)
        return fail(ErrorCode.NO_CHANGE, `session ${session.r.id} has no parked call ${id}`);
      finishPending(tx, pending, fail(ErrorCode.CANCELLED, `call ${id} was cancelled`));
      return {};
    },
  );
}
