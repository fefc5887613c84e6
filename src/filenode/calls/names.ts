import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { access } from "../access.js";
import type { Vfs, VfsStat } from "../api.js";
import type { NodeCore } from "../core.js";
import { clientName } from "../paths.js";
import { type Call, handleOf, needAccess, onHandle, type Reply } from "./call.js";
import { type EffectWish, effectCall } from "./effect.js";

/** Renames what a handle has open, or what a path names. */
export function renameCall(core: NodeCore, call: Call, request: v1.IRenameRequest): Promise<Reply> {
  const targetPath = clientName(request.targetPath ?? "").join("/");
  const replace = request.replace ?? false;
  if (request.handle) {
    const handle = handleOf(call.session, request.handle);
    needAccess(handle, access.delete, "rename");
    return onHandle(core, call, handle, { modifying: true, recorded: true }, () =>
      effectCall(core, call, async (seenRevision) => ({
        kind: v1.EffectKind.EFFECT_RENAME,
        handle,
        share: handle.share,
        path: handle.path,
        targetPath,
        fileId: handle.record.fileId ?? "",
        targetFileId: (await handle.vfs.stat(targetPath))?.fileId ?? "",
        directory: handle.record.directory ?? false,
        replace,
        seenRevision,
      })),
    );
  }
  return byPath(core, call, request, async ({ vfs, share, path, stat }) => {
    const source = existing(call, path, stat);
    return {
      kind: v1.EffectKind.EFFECT_RENAME,
      share,
      path,
      targetPath,
      fileId: source?.fileId ?? "",
      targetFileId: (await vfs.stat(targetPath))?.fileId ?? "",
      directory: source?.directory ?? false,
      replace,
    };
  });
}

/** Gives an open file a second name. */
export function linkCall(core: NodeCore, call: Call, request: v1.ILinkRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  const targetPath = clientName(request.targetPath ?? "").join("/");
  return onHandle(core, call, handle, { modifying: true, recorded: true }, () =>
    effectCall(core, call, async (seenRevision) => ({
      kind: v1.EffectKind.EFFECT_LINK,
      handle,
      share: handle.share,
      path: handle.path,
      targetPath,
      fileId: handle.record.fileId ?? "",
      targetFileId: (await handle.vfs.stat(targetPath))?.fileId ?? "",
      replace: request.replace ?? false,
      seenRevision,
    })),
  );
}

/** Deletes a file or an empty folder; one that others have open and share for deletion goes with its last handle. */
export function removeCall(core: NodeCore, call: Call, request: v1.IRemoveRequest): Promise<Reply> {
  return byPath(core, call, request, async ({ vfs, share, path, stat }) => {
    const there = existing(call, path, stat);
    if (there !== null) await checkRemovable(vfs, path, there, request.directory ?? false);
    return {
      kind: v1.EffectKind.EFFECT_DELETE,
      share,
      path,
      fileId: there?.fileId ?? "",
      directory: request.directory ?? false,
    };
  });
}

async function checkRemovable(vfs: Vfs, path: string, stat: VfsStat, wantDirectory: boolean): Promise<void> {
  if (stat.directory !== wantDirectory)
    throw new HoldfastError(
      stat.directory ? ErrorCode.FILE_IS_A_DIRECTORY : ErrorCode.NOT_A_DIRECTORY,
      `remove ${path}: it is a ${stat.directory ? "folder" : "file"}`,
    );
  if (stat.readOnly) throw new HoldfastError(ErrorCode.CANNOT_DELETE, `remove ${path}: it is read-only`);
  if (stat.directory && (await vfs.list(path, "", 1)).names.length > 0)
    throw new HoldfastError(ErrorCode.DIRECTORY_NOT_EMPTY, `remove ${path}: the folder is not empty`);
}

/** Makes a folder. */
export function makeDirectoryCall(
  core: NodeCore,
  call: Call,
  request: v1.IMakeDirectoryRequest,
): Promise<Reply> {
  return byPath(core, call, request, async ({ share, path, stat }) => {
    if (stat !== null && !call.replay)
      throw new HoldfastError(ErrorCode.OBJECT_NAME_COLLISION, `${path}: something stands there`);
    return { kind: v1.EffectKind.EFFECT_MKDIR, share, path, directory: true, fileId: stat?.fileId ?? "" };
  });
}

// A repeat meets what its first run left: nothing to delete, a folder that is there already. Only the state can tell it
// from a call that comes too late, so with the replay flag everything goes there.
function existing(call: Call, path: string, stat: VfsStat | null): VfsStat | null {
  if (stat === null && !call.replay)
    throw new HoldfastError(ErrorCode.OBJECT_NAME_NOT_FOUND, `${path}: nothing stands there`);
  return stat;
}

/** What a path stood for when it was looked at. */
interface Seen {
  readonly vfs: Vfs;
  readonly share: string;
  readonly path: string;
  readonly stat: VfsStat | null;
}

async function byPath(
  core: NodeCore,
  call: Call,
  request: { share?: string | null; path?: string | null; parentLeaseKey?: Uint8Array | null },
  wish: (seen: Seen) => Promise<EffectWish>,
): Promise<Reply> {
  core.admit(call.session);
  const share = request.share ?? "";
  const vfs = core.vfs(share);
  const path = clientName(request.path ?? "").join("/");
  const reply = await effectCall(core, call, async (seenRevision) => ({
    ...(await wish({ vfs, share, path, stat: await vfs.stat(path) })),
    parentKey: request.parentLeaseKey ?? null,
    seenRevision,
  }));
  core.admitReply(call.session);
  return reply;
}
