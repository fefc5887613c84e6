import { ErrorCode, errorDetail } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { type Id, shortHex } from "../ids.js";
import { mutant } from "../mutants.js";
import type { HandleRow } from "../tables/handles.js";
import { SessionRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";
import { settleSession } from "./takeover.js";

/** What a session must be like for a command. */
export interface FenceOptions {
  /** The command changes nothing new: allowed while the session is frozen for a transfer. */
  readonly whileFrozen?: boolean;
  /** Allowed before the new owner has resolved what it inherited. */
  readonly whileTakenOver?: boolean;
}

/**
 * Lets a command through only from the present owner under the present epoch (semantics.md D4): the one check that keeps
 * a paused old owner from changing anything. Answers the session or the refusal.
 */
export function checkFence(
  tx: Tx,
  fence: v1.IFence | null | undefined,
  options: FenceOptions = {},
): SessionRow | v1.IErrorDetail {
  const id = fence?.sessionId ?? 0;
  const session = tx.store.sessions.byId.get(id);
  if (session === undefined)
    return errorDetail(ErrorCode.UNKNOWN_SESSION, `session ${id} is unknown, expired or closed`, {
      next: "open a new session",
    });
  settleSession(tx, session);
  const r = session.r;
  if (r.replacedBy !== 0)
    return errorDetail(
      ErrorCode.USER_SESSION_DELETED,
      `session ${id} was replaced by session ${r.replacedBy}`,
      {
        next: `use session ${r.replacedBy}`,
      },
    );
  if ((fence?.epoch ?? 0) !== r.epoch && !mutant.epochUnchecked)
    return staleEpoch(tx, session, fence?.epoch ?? 0);
  const isOwner = fence?.node === r.owner && fence.nodeIncarnation === r.ownerIncarnation;
  if (!isOwner && !mutant.ownerUnchecked && !mutant.epochUnchecked) return notOwner(tx, session, fence);
  return admit(tx, session, options);
}

function admit(tx: Tx, session: SessionRow, options: FenceOptions): SessionRow | v1.IErrorDetail {
  const r = session.r;
  if (r.frozenBy !== "" && !options.whileFrozen)
    return errorDetail(ErrorCode.FROZEN, `session ${r.id} is being transferred (operation ${r.frozenBy})`, {
      owner: tx.store.address(r.owner),
      epoch: r.epoch,
      retryAfterMs: 50,
    });
  if (r.takenOver && !options.whileTakenOver && !mutant.lockDuringTakeover)
    return errorDetail(
      ErrorCode.NOT_READY,
      `session ${r.id}: ${r.owner} is still resolving what it inherited`,
      {
        owner: tx.store.address(r.owner),
        epoch: r.epoch,
        retryAfterMs: 20,
      },
    );
  return session;
}

function staleEpoch(tx: Tx, session: SessionRow, epoch: number): v1.IErrorDetail {
  const r = session.r;
  return errorDetail(ErrorCode.STALE_EPOCH, `session ${r.id} is at epoch ${r.epoch}, the call has ${epoch}`, {
    owner: tx.store.address(r.owner),
    epoch: r.epoch,
  });
}

function notOwner(tx: Tx, session: SessionRow, fence: v1.IFence | null | undefined): v1.IErrorDetail {
  const r = session.r;
  const caller = `${fence?.node ?? ""}/${fence?.nodeIncarnation ?? 0}`;
  return errorDetail(
    ErrorCode.NOT_OWNER,
    `session ${r.id} is owned by ${r.owner}/${r.ownerIncarnation}, not by ${caller}`,
    { owner: tx.store.address(r.owner), epoch: r.epoch },
  );
}

/** The fence of a command on one handle: its session's. */
export function checkHandleFence(
  tx: Tx,
  fence: v1.IFence | null | undefined,
  id: Id,
  options: FenceOptions = {},
): { session: SessionRow; handle: HandleRow } | v1.IErrorDetail {
  const session = checkFence(tx, fence, options);
  if (!(session instanceof SessionRow)) return session;
  const handle = tx.store.handles.byId.get(id);
  if (handle === undefined || handle.session !== session) return unknownHandle(session, id);
  return { session, handle };
}

/** FILE_CLOSED, whatever the reason: nobody learns of another session's handles. */
export function unknownHandle(session: SessionRow, id: Id): v1.IErrorDetail {
  return errorDetail(ErrorCode.FILE_CLOSED, `session ${session.r.id} has no open handle ${shortHex(id)}`, {
    next: "resume the handle, or open the file again",
  });
}

/** Refuses commands of file nodes that are not registered, down, or an earlier process than the one known. */
export function checkNode(tx: Tx, name: string, incarnation: number): v1.IErrorDetail | null {
  const node = tx.store.nodes.get(name);
  if (node === undefined)
    return errorDetail(ErrorCode.UNKNOWN_NODE, `no file node named "${name}" is registered`, {
      next: "register the node first",
    });
  if (node.r.incarnation !== incarnation)
    return errorDetail(
      ErrorCode.STALE_EPOCH,
      `node ${name} is at incarnation ${node.r.incarnation}, the call has ${incarnation}`,
      { epoch: node.r.incarnation },
    );
  if (!node.up)
    return errorDetail(ErrorCode.LEASE_LOST, `incarnation ${incarnation} of node ${name} was declared down`, {
      next: "register with a new incarnation",
    });
  return null;
}
