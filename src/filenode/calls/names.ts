import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { access } from "../access.js";
import type { VfsStat } from "../api.js";
import type { NodeCore } from "../core.js";
import { clientName } from "../paths.js";
import { type Call, handleOf, needAccess, onHandle, type Reply } from "./call.js";
import { effectCall } from "./effect.js";

/** Renames what a handle has open, or what a path names. */
export function renameCall(core: NodeCore, call: Call, request: v1.IRenameRequest): Promise<Reply> {
  const targetPath = clientName(request.targetPath ?? "").join("/");
  const replace = request.replace ?? false;
  if (request.handle) {
    const handle = handleOf(call.session, request.handle);
    needAccess(handle, access.delete, "rename");
    return onHandle(core, call, handle, true, async () => {
      const target = await handle.vfs.stat(targetPath);
      return effectCall(core, call, {
        kind: v1.EffectKind.EFFECT_RENAME,
        handle,
        share: handle.share,
        path: handle.path,
        targetPath,
        fileId: handle.record.fileId ?? "",
        targetFileId: target?.fileId ?? "",
        directory: handle.record.directory ?? false,
        replace,
      });
    });
  }
  return byPath(core, call, request, async (share, path, stat) => {
    const source = existing(call, path, stat);
    const target = await core.vfs(share).stat(targetPath);
    return effectCall(core, call, {
      kind: v1.EffectKind.EFFECT_RENAME,
      share,
      path,
      targetPath,
      fileId: source?.fileId ?? "",
      targetFileId: target?.fileId ?? "",
      directory: source?.directory ?? false,
      replace,
    });
  });
}

/** Gives an open file a second name. */
export function linkCall(core: NodeCore, call: Call, request: v1.ILinkRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  const targetPath = clientName(request.targetPath ?? "").join("/");
  return onHandle(core, call, handle, true, async () => {
    const target = await handle.vfs.stat(targetPath);
    return effectCall(core, call, {
      kind: v1.EffectKind.EFFECT_LINK,
      handle,
      share: handle.share,
      path: handle.path,
      targetPath,
      fileId: handle.record.fileId ?? "",
      targetFileId: target?.fileId ?? "",
      replace: request.replace ?? false,
    });
  });
}

/** Deletes a file or an empty folder that nobody has open. */
export function removeCall(core: NodeCore, call: Call, request: v1.IRemoveRequest): Promise<Reply> {
  return byPath(core, call, request, async (share, path, stat) => {
    const there = existing(call, path, stat);
    if (there !== null && there.directory !== (request.directory ?? false))
      throw new HoldfastError(
        there.directory ? ErrorCode.FILE_IS_A_DIRECTORY : ErrorCode.NOT_A_DIRECTORY,
        `remove ${path}: it is a ${there.directory ? "folder" : "file"}`,
      );
    if (there?.readOnly) throw new HoldfastError(ErrorCode.CANNOT_DELETE, `remove ${path}: it is read-only`);
    if (there?.directory && (await core.vfs(share).list(path, "", 1)).names.length > 0)
      throw new HoldfastError(ErrorCode.DIRECTORY_NOT_EMPTY, `remove ${path}: the folder is not empty`);
    return effectCall(core, call, {
      kind: v1.EffectKind.EFFECT_DELETE,
      share,
      path,
      fileId: there?.fileId ?? "",
      directory: request.directory ?? false,
    });
  });
}

/** Makes a folder. */
export function makeDirectoryCall(
  core: NodeCore,
  call: Call,
  request: v1.IMakeDirectoryRequest,
): Promise<Reply> {
  return byPath(core, call, request, (share, path, stat) => {
    if (stat !== null && !call.replay)
      throw new HoldfastError(ErrorCode.OBJECT_NAME_COLLISION, `${path}: something stands there`);
    return effectCall(core, call, { kind: v1.EffectKind.EFFECT_MKDIR, share, path, directory: true });
  });
}

// A repeat meets what its first run left: nothing to delete, a folder that is there already. Only the state can tell it
// from a call that comes too late, so with the replay flag everything goes there.
function existing(call: Call, path: string, stat: VfsStat | null): VfsStat | null {
  if (stat === null && !call.replay)
    throw new HoldfastError(ErrorCode.OBJECT_NAME_NOT_FOUND, `${path}: nothing stands there`);
  return stat;
}

async function byPath(
  core: NodeCore,
  call: Call,
  request: { share?: string | null; path?: string | null },
  act: (share: string, path: string, stat: VfsStat | null) => Promise<Reply>,
): Promise<Reply> {
  core.admit(call.session);
  const share = request.share ?? "";
  const path = clientName(request.path ?? "").join("/");
  const reply = await act(share, path, await core.vfs(share).stat(path));
  core.admitReply(call.session);
  return reply;
}
