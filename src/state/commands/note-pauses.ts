import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { checkNode } from "../mechanics/fence.js";
import { emitMeasured, notePause } from "../mechanics/pauses.js";
import type { FailoverRow } from "../tables/records.js";
import { fail, failed, type Tx } from "../tx.js";

/**
 * An owner's measurements of moves, for the flight recorder. What is out of date by now (the session ended, or moved on)
 * is passed over: figures are no reason to fail.
 */
export function notePauses(tx: Tx, command: v1.INotePauses): v1.ICommandResult {
  const refused = checkNode(tx, command.node ?? "", command.nodeIncarnation ?? 0);
  if (refused !== null) return failed(refused);
  const pauses = command.pauses ?? [];
  if (pauses.length > limits.batchCommandsMax)
    return fail(
      ErrorCode.LIMIT_EXCEEDED,
      `${pauses.length} pauses; at most ${limits.batchCommandsMax} are taken at once`,
    );
  const measured = new Set<FailoverRow>();
  for (const pause of pauses) {
    const session = tx.store.sessions.byId.get(pause.sessionId ?? 0);
    if (session === undefined || session.r.epoch !== (pause.epoch ?? 0)) continue;
    // The former owner knows its own release, the present one everything else.
    const { owner, previousOwner } = session.r;
    if (command.node !== owner && command.node !== previousOwner) continue;
    const row = notePause(tx, session, command.node === owner ? pause : released(pause));
    if (row !== null && pause.reclaimUs) measured.add(row);
  }
  for (const row of measured) emitMeasured(tx, row);
  return {};
}

function released(pause: v1.ISessionPause): v1.ISessionPause {
  return { reassignUs: pause.reassignUs ?? 0 };
}
