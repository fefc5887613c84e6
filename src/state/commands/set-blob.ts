import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { idOf, own } from "../ids.js";
import { checkHandleFence, unknownHandle } from "../mechanics/fence.js";
import { blobIdentity } from "../mechanics/identity.js";
import { onceOnly } from "../mechanics/reply-cache.js";
import { failed, type Tx } from "../tx.js";
import { bytesProblem } from "../validate.js";

/** Replaces what an access protocol keeps with a handle. */
export function setBlob(tx: Tx, command: v1.ISetBlob): v1.ICommandResult {
  const found = checkHandleFence(tx, command.fence, idOf(command.handleId));
  if (!("handle" in found)) return failed(found);
  const { session, handle } = found;
  return onceOnly(
    tx,
    session,
    command.request,
    () => blobIdentity(command),
    () => {
      const problem = bytesProblem("blob", command.blob, limits.blobBytesMax);
      if (problem !== null) return problem;
      if (!handle.isOpen) return failed(unknownHandle(session, handle.id));
      handle.more().blob = own(command.blob);
      tx.touchHandle(handle);
      return {};
    },
  );
}
