import type { v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import { checkHandleFence, unknownHandle } from "../mechanics/fence.js";
import { lockIdentity } from "../mechanics/identity.js";
import {
  attemptLock,
  bucketAnswers,
  lockProblem,
  lockResult,
  supersedeParked,
  unlock,
} from "../mechanics/locking.js";
import { onceOnly } from "../mechanics/reply-cache.js";
import { advanceSequence, markUsed } from "../mechanics/using.js";
import type { HandleRow } from "../tables/handles.js";
import type { SessionRow } from "../tables/sessions.js";
import { failed, type Tx } from "../tx.js";

/** Locks or unlocks byte ranges; the lock and its sequence bucket are stored in one entry (semantics.md B3, F2). */
export function lock(tx: Tx, command: v1.ILock): v1.ICommandResult {
  const found = checkHandleFence(tx, command.fence, idOf(command.handleId));
  if (!("handle" in found)) return failed(found);
  const { session, handle } = found;
  return onceOnly(
    tx,
    session,
    command.request,
    () => lockIdentity(command),
    (digest) => lockOnce(tx, session, handle, command, digest),
  );
}

function lockOnce(
  tx: Tx,
  session: SessionRow,
  handle: HandleRow,
  command: v1.ILock,
  digest: string,
): v1.ICommandResult {
  if (!handle.isOpen || !handle.isConnected) return failed(unknownHandle(session, handle.id));
  // Not one of the operations that a stale sequence stops; a newer one still counts.
  advanceSequence(tx, handle, command.channelSequence ?? 0);
  markUsed(tx, handle);
  const elements = command.elements ?? [];
  const problem = lockProblem(handle, elements);
  if (problem !== null) return problem;
  if (bucketAnswers(tx, handle, command)) return lockResult(handle, true);
  supersedeParked(tx, handle, command);
  if (elements[0]?.unlock) return unlock(tx, handle, command);
  return attemptLock(tx, { session, handle, command, digest, parked: null });
}
