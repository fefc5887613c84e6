import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { EventKind } from "../events.js";
import { bytesOf, idOf, shortHex } from "../ids.js";
import { checkFence } from "../mechanics/fence.js";
import { noteItem } from "../mechanics/operations.js";
import { awaitClients, moveSession } from "../mechanics/ownership.js";
import { sessionResult } from "../mechanics/reply.js";
import { splitOff } from "../mechanics/splitting.js";
import { settleSession } from "../mechanics/takeover.js";
import { thaw } from "../mechanics/thawing.js";
import type { NodeRow } from "../tables/records.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";

/**
 * Hands a session, or one handle of it, to another node: by its owner, which has finished what was running; or by force,
 * after the caller has made sure that the owner cannot act any more (semantics.md D2).
 */
export function moveSessionCommand(tx: Tx, command: v1.IMoveSession): v1.ICommandResult {
  const session = sessionFor(tx, command);
  if (!(session instanceof SessionRow)) return failed(session);
  const to = targetOf(tx, command);
  if (!("r" in to)) return to;
  const id = command.operationId ?? "";
  const r = session.r;
  if (r.frozenBy !== "" && r.frozenBy !== id)
    return fail(ErrorCode.FROZEN, `session ${r.id} is being transferred by operation ${r.frozenBy}`);
  const handleId = idOf(command.handleId);
  if (handleId !== "") return moveHandle(tx, session, handleId, to, command);
  if (r.owner === to.r.name && r.ownerIncarnation === to.r.incarnation)
    return fail(ErrorCode.NO_CHANGE, `session ${r.id} is owned by ${to.r.name} already`);
  const open = tx.store.effects.ofSession(r.id)[0];
  if (open !== undefined && !command.forced)
    return fail(ErrorCode.NOT_READY, `effect ${open.r.id} of session ${r.id} is under way`, {
      retryAfterMs: 5,
    });
  const before = r.epoch;
  moveSession(tx, session, to.r.name, to.r.incarnation, `operation ${id || "without id"}`);
  handEffectsOver(tx, session, to);
  noteItem(tx, id, r.id, "moved", {
    epochBefore: before,
    epochAfter: r.epoch,
    fenceUs: command.fenceUs ?? 0,
    to: to.r.name,
  });
  countMove(tx, id, session, session.liveHandles);
  return sessionResult(session);
}

function sessionFor(tx: Tx, command: v1.IMoveSession): SessionRow | v1.IErrorDetail {
  if (!command.forced) return checkFence(tx, command.fence, { whileFrozen: true });
  const fence = command.fence;
  const session = tx.store.sessions.byId.get(fence?.sessionId ?? 0);
  if (session !== undefined) settleSession(tx, session);
  const owner = { node: session?.r.owner ?? "", nodeIncarnation: session?.r.ownerIncarnation ?? 0 };
  return checkFence(tx, { ...fence, ...owner }, { whileFrozen: true, whileTakenOver: true });
}

function targetOf(tx: Tx, command: v1.IMoveSession): NodeRow | v1.ICommandResult {
  const name = command.to ?? "";
  const node = tx.store.nodes.get(name);
  if (node === undefined) return fail(ErrorCode.UNKNOWN_NODE, `no file node named "${name}" is registered`);
  const incarnation = command.toIncarnation ?? 0;
  if (!node.up || node.r.foreign || (incarnation !== 0 && incarnation !== node.r.incarnation))
    return fail(
      ErrorCode.PRECONDITION_FAILED,
      `node ${name} cannot take sessions: it is not up as ${incarnation}`,
    );
  return node;
}

function moveHandle(
  tx: Tx,
  session: SessionRow,
  handleId: string,
  to: NodeRow,
  command: v1.IMoveSession,
): v1.ICommandResult {
  const handle = tx.store.handles.byId.get(handleId);
  if (handle === undefined || handle.session !== session || !handle.isOpen)
    return fail(ErrorCode.UNKNOWN_HANDLE, `session ${session.r.id} has no open handle ${shortHex(handleId)}`);
  if (handle.ownerNode === to.r.name)
    return fail(ErrorCode.NO_CHANGE, `handle ${shortHex(handleId)} is at ${to.r.name} already`);
  if (handle.kind !== v1.HandleKind.PERSISTENT)
    return fail(
      ErrorCode.PRECONDITION_FAILED,
      `handle ${shortHex(handleId)} is not persistent: it ends with its server`,
    );
  if (tx.store.sessions.byId.size >= limits.sessionsMax)
    return fail(
      ErrorCode.LIMIT_EXCEEDED,
      `the cluster has ${limits.sessionsMax} sessions, which is the limit; a handle that moves alone needs one`,
    );
  if (tx.store.effects.ofHandle(handle.id).length > 0)
    return fail(ErrorCode.NOT_READY, "an effect of the handle is under way", { retryAfterMs: 5 });
  const id = command.operationId ?? "";
  const derived = splitOff(tx, handle, to, `operation ${id || "without id"}`);
  thaw(tx, session, id);
  noteItem(tx, id, session.r.id, "moved", {
    handleId: bytesOf(handleId),
    epochBefore: session.r.epoch,
    epochAfter: derived.r.epoch,
    fenceUs: command.fenceUs ?? 0,
    to: to.r.name,
  });
  countMove(tx, id, derived, 1);
  return { handle: handle.toRecord(), session: derived.r };
}

/** What a session has under way goes with it: its new owner resolves it. */
export function handEffectsOver(tx: Tx, session: SessionRow, to: NodeRow): void {
  for (const effect of tx.store.effects.ofSession(session.r.id)) {
    tx.store.effects.setOwner(effect, to.r.name, to.r.incarnation);
    effect.r.handedOver++;
    tx.store.touch(effect);
  }
}

/** Counts a move in its operation's record, which from then on waits for the session's client. */
export function countMove(tx: Tx, operationId: string, session: SessionRow, handles: number): void {
  const operation = tx.store.operations.get(operationId);
  if (operation === undefined) return;
  const failover = tx.store.failovers.get(operation.r.failoverId);
  if (failover !== undefined) {
    failover.r.handles += handles;
    failover.r.sessions++;
    awaitClients(tx, failover, [session]);
    tx.store.touch(failover);
  }
  tx.emit(EventKind.operationMoved, "", `operation ${operationId} moved session ${session.r.id}`, {
    operation: { ...operation.r },
  });
}
