import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import { checkFence } from "../mechanics/fence.js";
import { acknowledge } from "../mechanics/lease-rows.js";
import { markUsed } from "../mechanics/using.js";
import { isLeaseState } from "../rules/lease-state.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";

/** A lease holder answers a break with any subset of what it may keep (semantics.md F3, Ack). */
export function ackLease(tx: Tx, command: v1.IAckLease): v1.ICommandResult {
  const session = checkFence(tx, command.fence, { whileFrozen: true });
  if (!(session instanceof SessionRow)) return failed(session);
  const client = idOf(command.clientGuid) || session.client;
  const lease = client === session.client ? tx.store.leases.get(client, idOf(command.key)) : undefined;
  if (lease === undefined)
    return fail(ErrorCode.OBJECT_NAME_NOT_FOUND, "this client has no lease with this key");
  if (!lease.r.breaking || lease.r.stored)
    return fail(ErrorCode.UNSUCCESSFUL, "the lease is not being broken");
  const state = command.state ?? 0;
  if (!isLeaseState(state) || (state & ~lease.r.breakToRequested) !== 0)
    return fail(
      ErrorCode.REQUEST_NOT_ACCEPTED,
      `state ${state} is not a part of ${lease.r.breakToRequested}, which the break allows`,
    );
  for (const handle of lease.handles) markUsed(tx, handle);
  acknowledge(tx, lease, state);
  return { lease: lease.toRecord() };
}
