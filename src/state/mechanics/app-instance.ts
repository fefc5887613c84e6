import { ErrorCode } from "../../wire/errors.js";
import { toBigInt, type v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import { Access, specificAccess } from "../rules/access.js";
import type { HandleRow } from "../tables/handles.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { closeHandle } from "./closing.js";
import { byHandleId } from "./order.js";

/**
 * Application takeover (semantics.md D3): a create with the application instance of another client's open of the same file
 * closes that one, wherever it lives, unless its version is not newer: then the caller is the old instance. The close is
 * in the same log entry, so there is no moment in which both have the file, and the old owner learns of it by an event.
 */
export function takeOverApplication(
  tx: Tx,
  session: SessionRow,
  command: v1.IOpenHandle,
): v1.ICommandResult | null {
  const instance = command.appInstance;
  const id = idOf(instance?.id);
  if (!instance || id === "") return null;
  const earlier = opensOfInstance(tx, session, command, id);
  for (const handle of earlier) {
    if (isNewer(instance, handle.extras?.appInstance ?? {}) || mutant.appInstanceVersionIgnored) continue;
    return fail(
      ErrorCode.FILE_FORCED_CLOSED,
      `${command.share}:${command.path} belongs to an instance of this application with a version that is not older`,
      { next: "stop this instance" },
    );
  }
  if (earlier.length === 0) return null;
  if ((specificAccess(command.maximalAccess || command.desiredAccess || 0) & Access.readData) === 0)
    return fail(ErrorCode.ACCESS_DENIED, "taking over an application's file needs the right to read it");
  for (const handle of earlier)
    closeHandle(tx, handle, "forced", "another instance of its application took over");
  return null;
}

function opensOfInstance(tx: Tx, session: SessionRow, command: v1.IOpenHandle, id: string): HandleRow[] {
  return tx.store.handles.paths
    .at(command.share ?? "", command.path ?? "")
    .filter(
      (handle) =>
        handle.isOpen && handle.client !== session.client && idOf(handle.extras?.appInstance?.id) === id,
    )
    .sort(byHandleId);
}

/** Equal is not newer; a stored version needs one to be compared with. */
function isNewer(asked: v1.IAppInstance, stored: v1.IAppInstance): boolean {
  if (!stored.hasVersion) return true;
  if (!asked.hasVersion) return false;
  const high = toBigInt(asked.versionHigh) - toBigInt(stored.versionHigh);
  return high !== 0n ? high > 0n : toBigInt(asked.versionLow) > toBigInt(stored.versionLow);
}
