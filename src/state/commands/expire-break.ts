import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import { endBreak, storeBreak } from "../mechanics/lease-rows.js";
import { fail, type Tx } from "../tx.js";

/**
 * A break was not acknowledged in time: the lease ends, its waiters go on. A holder that is away under a protected handle
 * has not had its chance: the break is stored until it is back.
 */
export function expireBreak(tx: Tx, command: v1.IExpireBreak): v1.ICommandResult {
  const lease = tx.store.leases.get(idOf(command.clientGuid), idOf(command.key));
  if (lease === undefined) return fail(ErrorCode.OBJECT_NAME_NOT_FOUND, "there is no such lease");
  const r = lease.r;
  if (!r.breaking || r.stored || r.epoch !== (command.epoch ?? 0) || tx.nowMs < r.breakDeadlineMs)
    return fail(ErrorCode.NO_CHANGE, "this break is over, or it is not due yet");
  if (lease.reachable() === null && [...lease.handles].some((handle) => handle.isProtected)) {
    storeBreak(tx, lease, r.breakToRequired);
    return {};
  }
  endBreak(tx, lease, 0);
  return {};
}
