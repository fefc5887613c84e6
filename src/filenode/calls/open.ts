import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { access } from "../access.js";
import type { VfsStat } from "../api.js";
import type { NodeCore } from "../core.js";
import { dropHandle, fileInfo, installHandle, observed } from "../handles.js";
import type { OpenHandle, OwnedSession } from "../sessions.js";
import { clientName, clientPath } from "../paths.js";
import { overtaken } from "./effect.js";
import { type Call, findHandle, type Reply, settle } from "./call.js";
import { closeWhole, holdingTail } from "./tail.js";

/**
 * Opens a file: one round through the log, two if the file has to be created, cut or replaced. The state decides by the
 * open table and by what this node saw at the path; it refuses what was overtaken, then the node looks again.
 */
export async function openCall(core: NodeCore, call: Call, request: v1.IOpenRequest): Promise<Reply> {
  core.admit(call.session);
  const path = clientPath(request.path ?? "").join("/");
  if (path === "" && request.disposition !== v1.Disposition.OPEN) clientName(path);
  const vfs = core.vfs(request.share ?? "");
  const handleId = core.options.runtime.random.bytes(16);
  for (let tries = 1; ; tries++) {
    const revision = core.revision;
    const stat = await vfs.stat(path);
    try {
      const command = openCommand(call, request, path, handleId, observed(stat, revision));
      if (stat === null || !CUTS.has(request.disposition ?? 0))
        return await opened(core, call, await settle(core, call, command), path, stat);
      return await holdingTail(core, call, request.share ?? "", stat.fileId, async (file, hold) => {
        await closeWhole(file, hold);
        const result = await settle(core, call, command);
        // Writes that were let go while it was parked are cut now, and only once.
        await file.writesEnded(0);
        return opened(core, call, result, path, stat);
      });
    } catch (error) {
      if (!overtaken(error) || tries >= core.limits.observationTriesMax) throw error;
    }
  }
}

/** Dispositions that may cut a file that stands there. */
const CUTS: ReadonlySet<v1.Disposition> = new Set([v1.Disposition.OVERWRITE, v1.Disposition.OVERWRITE_IF]);

function openCommand(
  call: Call,
  request: v1.IOpenRequest,
  path: string,
  handleId: Uint8Array,
  seen: v1.IObservedFile,
): v1.ICommand {
  return {
    openHandle: {
      fence: call.session.fence(),
      request: call.request,
      createGuid: request.createGuid ?? null,
      replay: call.replay,
      kind: request.kind ?? null,
      timeoutMs: request.timeoutMs ?? 0,
      share: request.share ?? "",
      path,
      desiredAccess: request.desiredAccess ?? 0,
      shareMode: request.shareMode ?? null,
      disposition: request.disposition ?? null,
      deleteOnClose: request.deleteOnClose ?? false,
      fileAttributes: request.fileAttributes ?? 0,
      wantDirectory: request.wantDirectory ?? false,
      wantFile: request.wantFile ?? false,
      lease: request.lease ?? null,
      appInstance: request.appInstance ?? null,
      channelSequence: call.channelSequence,
      observed: seen,
      blob: request.blob ?? null,
      maximalAccess: access.all,
      closeMyOrphans: request.closeMyOrphans ?? false,
      handleId,
    },
  };
}

async function opened(
  core: NodeCore,
  call: Call,
  result: v1.ICommandResult,
  path: string,
  stat: VfsStat | null,
): Promise<Reply> {
  let open = result.open ?? {};
  let revision = result.revision ?? 0;
  let now = stat;
  if (open.status === v1.OpenResult.Status.PERFORM && open.effect) {
    const finished = await core.perform(open.effect, call.session);
    revision = finished.revision ?? revision;
    open = finished.open ?? { ...open, handle: finished.effect?.handle ?? finished.handle ?? null };
    now = null;
  }
  const record = open.handle;
  if (!record) throw new HoldfastError(ErrorCode.INTERNAL, "the state granted an open without a handle");
  const handle = installHandle(core, call.session, record, open, revision);
  if (!open.replayed && !result.repeated) handle.sinceOpen = true;
  if (now === null || now.fileId !== record.fileId || record.path !== path)
    now = await handle.vfs.stat(handle.path);
  core.admitReply(call.session);
  return { open: openReply(record, open, now) };
}

/** What the client gets to know of a handle: of a create its own action, of a reconnect OPENED (semantics.md A6). */
export function openReply(
  record: v1.IHandleRecord,
  open: v1.IOpenResult,
  stat: VfsStat | null,
): v1.IOpenReply {
  const lease = open.lease;
  return {
    handle: { persistent: record.id ?? null, volatile: record.volatileId ?? 0 },
    createAction: open.reconnected ? v1.CreateAction.OPENED : (record.createAction ?? null),
    kind: record.kind ?? null,
    timeoutMs: record.timeoutMs ?? 0,
    lease: lease
      ? {
          key: lease.key ?? null,
          state: lease.state ?? 0,
          epoch: lease.epoch ?? 0,
          breakInProgress: lease.breaking ?? false,
        }
      : null,
    info: stat === null ? null : fileInfo(record.path ?? "", stat),
    replayed: open.replayed ?? false,
    blob: record.blob ?? null,
    locks: record.locks ?? [],
    grantedAccess: record.grantedAccess ?? 0,
  };
}

/** Takes a handle up again under this connection, with a new volatile id (semantics.md A6). */
export async function reconnectCall(
  core: NodeCore,
  call: Call,
  request: v1.IReconnectRequest,
): Promise<Reply> {
  core.admit(call.session);
  const command = reconnectCommand(call.session, request, call.channelSequence);
  const result = await core.execute(
    { reconnectHandle: { ...command, request: call.request } },
    call.deadlineMs,
  );
  return reconnected(core, call.session, result);
}

/** What the state is asked for a reconnect. */
export function reconnectCommand(
  session: OwnedSession,
  request: v1.IReconnectRequest,
  channelSequence: number,
): v1.IReconnectHandle {
  return {
    fence: session.fence(),
    handleId: request.handleId ?? null,
    volatileId: request.volatileId ?? 0,
    createGuid: request.createGuid ?? null,
    persistent: request.persistent ?? false,
    lease: request.lease ?? null,
    path: request.path ?? "",
    channelSequence,
  };
}

/** Takes the handle in that the state has given back to its client. */
export async function reconnected(
  core: NodeCore,
  session: OwnedSession,
  result: v1.ICommandResult,
): Promise<Reply> {
  const open = result.open ?? { handle: result.handle ?? null };
  const record = open.handle;
  if (!record) throw new HoldfastError(ErrorCode.INTERNAL, "the state reconnected a handle without a record");
  const handle = installHandle(core, session, record, open, result.revision ?? 0);
  const stat = await handle.vfs.stat(handle.path);
  core.admitReply(session);
  return { open: openReply(record, open, stat) };
}

/**
 * Closes a handle: what runs on it ends first. A close whose answer was lost comes again when the handle is gone here;
 * the state knows it by its request id and by the handle's tombstone (semantics.md B5).
 */
export async function closeCall(core: NodeCore, call: Call, request: v1.ICloseRequest): Promise<Reply> {
  core.admit(call.session);
  const handle = findHandle(call.session, request.handle);
  if (handle === undefined) return closeOnce(core, call, request, handle);
  handle.closing += 1;
  try {
    return await closeOnce(core, call, request, handle);
  } finally {
    handle.closing -= 1;
  }
}

async function closeOnce(
  core: NodeCore,
  call: Call,
  request: v1.ICloseRequest,
  handle: OpenHandle | undefined,
): Promise<Reply> {
  let info: v1.IFileInfo | null = null;
  let seen: v1.IObservedFile | null = null;
  if (handle !== undefined) {
    await handle.running.drained();
    const revision = core.revision;
    const stat = await handle.vfs.stat(handle.path).catch(() => null);
    if (stat !== null) info = fileInfo(handle.path, stat);
    seen = observed(stat, revision);
  } else if (call.request === null) {
    throw new HoldfastError(ErrorCode.FILE_CLOSED, "the handle is not open on this connection");
  }
  const result = await core.execute(
    {
      closeHandle: {
        fence: call.session.fence(),
        request: call.request,
        handleId: request.handle?.persistent ?? null,
        closeResult: info === null ? null : v1.FileInfo.encode(info).finish(),
        observed: seen,
        unmodified: handle?.unmodified ?? false,
      },
    },
    call.deadlineMs,
  );
  if (handle !== undefined) {
    handle.openFile.dropLocksOf(handle.key, result.revision ?? 0);
    dropHandle(core, handle);
  }
  const close = result.close ?? {};
  if (close.perform && close.effect) await core.perform(close.effect, call.session);
  core.admitReply(call.session);
  const stored = close.closeResult;
  if (stored && stored.length > 0) info = v1.FileInfo.decode(stored);
  return { close: { info } };
}
