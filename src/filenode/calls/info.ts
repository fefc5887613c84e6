import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { access } from "../access.js";
import type { Vfs } from "../api.js";
import type { NodeCore } from "../core.js";
import { fileInfo, observed } from "../handles.js";
import { clientPath } from "../paths.js";
import type { OpenHandle } from "../sessions.js";
import { type Call, handleOf, needAccess, onHandle, position, type Reply, settle } from "./call.js";
import { effectCall } from "./effect.js";
import { closeWhole, holdingTail } from "./tail.js";

/** Size, times and attributes of what a handle has open, or of a path. */
export async function statCall(core: NodeCore, call: Call, request: v1.IStatRequest): Promise<Reply> {
  if (request.handle) {
    const handle = handleOf(call.session, request.handle);
    return onHandle(core, call, handle, { modifying: false, recorded: false }, async () => ({
      stat: { info: fileInfo(handle.path, await mustStat(handle.vfs, handle.path)) },
    }));
  }
  core.admit(call.session);
  const path = clientPath(request.path ?? "").join("/");
  const stat = await mustStat(core.vfs(request.share ?? ""), path);
  core.admitReply(call.session);
  return { stat: { info: fileInfo(path, stat) } };
}

async function mustStat(vfs: Vfs, path: string) {
  const stat = await vfs.stat(path);
  if (stat !== null) return stat;
  throw new HoldfastError(ErrorCode.OBJECT_NAME_NOT_FOUND, `${path}: nothing stands there`);
}

/** One page of a folder, by name. */
export async function listCall(core: NodeCore, call: Call, request: v1.IListRequest): Promise<Reply> {
  core.admit(call.session);
  const path = clientPath(request.path ?? "").join("/");
  const vfs = core.vfs(request.share ?? "");
  const limit = Math.min(request.limit || limits.pageMax, limits.pageMax);
  const { names, more } = await vfs.list(path, request.after ?? "", limit);
  const entries: v1.IFileInfo[] = [];
  for (let i = 0; i < names.length; i += core.limits.statsAtOnceMax) {
    const part = names.slice(i, i + core.limits.statsAtOnceMax);
    const infos = await Promise.all(part.map((name) => entry(vfs, path === "" ? name : `${path}/${name}`)));
    for (const info of infos) if (info !== null) entries.push(info);
  }
  core.admitReply(call.session);
  return { list: { entries, more } };
}

// Gone since the names were read, or of a kind that is not served: left out.
async function entry(vfs: Vfs, path: string): Promise<v1.IFileInfo | null> {
  const stat = await vfs.stat(path).catch(() => null);
  return stat === null ? null : fileInfo(path, stat);
}

/** Sets the delete mark, the end of the file, attributes or the modification time. */
export function setInfoCall(core: NodeCore, call: Call, request: v1.ISetInfoRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  return onHandle(core, call, handle, { modifying: true, recorded: true }, () => {
    if (request.deleteOnClose !== null && request.deleteOnClose !== undefined)
      return setDisposition(core, call, handle, request.deleteOnClose);
    if (request.endOfFile !== null && request.endOfFile !== undefined)
      return setEnd(core, call, handle, request.endOfFile);
    return setAttributes(core, call, handle, request);
  });
}

async function setDisposition(core: NodeCore, call: Call, handle: OpenHandle, mark: boolean): Promise<Reply> {
  needAccess(handle, access.delete, "delete");
  const revision = core.revision;
  const stat = await handle.vfs.stat(handle.path);
  const empty = !stat?.directory || (await handle.vfs.list(handle.path, "", 1)).names.length === 0;
  // It may have to wait until others have given up their leases: until then nothing is marked.
  await settle(core, call, {
    setDisposition: {
      fence: call.session.fence(),
      request: call.request,
      handleId: handle.record.id ?? null,
      delete: mark,
      observed: observed(stat, revision),
      directoryEmpty: empty,
    },
  });
  return { done: {} };
}

async function setEnd(core: NodeCore, call: Call, handle: OpenHandle, endOfFile: number): Promise<Reply> {
  needAccess(handle, access.writeData, "set the end of");
  const length = position(endOfFile, "end of file");
  const fileId = handle.record.fileId ?? "";
  return holdingTail(core, call, handle.share, fileId, (file, hold) =>
    effectCall(core, call, async () => {
      await closeWhole(file, hold);
      file.tail.narrow(hold, length);
      return {
        kind: v1.EffectKind.EFFECT_TRUNCATE,
        handle,
        share: handle.share,
        path: handle.path,
        fileId,
        sizeBefore: (await mustStat(handle.vfs, handle.path)).size,
        length,
        // Writes that were let go while it was parked are cut now, and only once.
        beforePerform: () => file.writesEnded(length),
      };
    }),
  );
}

function setAttributes(
  core: NodeCore,
  call: Call,
  handle: OpenHandle,
  request: v1.ISetInfoRequest,
): Promise<Reply> {
  needAccess(handle, access.writeAttributes, "set attributes of");
  const change: v1.ISetInfoRequest = {};
  if (request.attributes !== null && request.attributes !== undefined) change.attributes = request.attributes;
  else if (request.modifiedMs !== null && request.modifiedMs !== undefined)
    change.modifiedMs = position(request.modifiedMs, "modification time");
  else throw new HoldfastError(ErrorCode.INVALID_PARAMETER, "set_info names nothing to set");
  return effectCall(core, call, async () => ({
    kind: v1.EffectKind.EFFECT_SET_ATTRIBUTES,
    handle,
    share: handle.share,
    path: handle.path,
    fileId: handle.record.fileId ?? "",
    description: v1.SetInfoRequest.encode(change).finish(),
  }));
}
