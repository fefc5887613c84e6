import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import { access } from "./access.js";
import type { VfsFile, VfsStat } from "./api.js";
import type { NodeCore } from "./core.js";
import { idKey } from "./ids.js";
import { baseName } from "./paths.js";
import { OpenHandle, type OwnedSession } from "./sessions.js";
import { WritePipe } from "./write-pipe.js";

const READ_ONLY = 0x1;
const DIRECTORY = 0x10;

/** Takes a handle into the session's table, or brings the one that is there up to date. */
export function installHandle(
  core: NodeCore,
  session: OwnedSession,
  record: v1.IHandleRecord,
  known: v1.IOpenResult,
  revision: number,
): OpenHandle {
  const key = idKey(record.id);
  core.gone.refuseHandle(key, record.path ?? "");
  const present = session.handles.get(key);
  if (present !== undefined && !present.closed && present.record.fileId === record.fileId) {
    present.record = record;
    noteFile(core, present, known, revision);
    return present;
  }
  if (present !== undefined) dropHandle(core, present);
  const share = record.share ?? "";
  const file = core.files.take(share, record.fileId ?? "");
  const handle = new OpenHandle(session, record, core.vfs(share), file);
  session.handles.set(key, handle);
  noteFile(core, handle, known, revision);
  return handle;
}

// What the answer to the open says of the file, and what was heard of it after that answer was made.
function noteFile(core: NodeCore, handle: OpenHandle, known: v1.IOpenResult, revision: number): void {
  const { openFile, record } = handle;
  if (known.locks) {
    // Those of other handles; the handle's own are in its record.
    const id = record.id ?? null;
    const own = (record.locks ?? []).map((lock) => ({ ...lock, handleId: id }));
    const others = known.locks.filter((lock) => idKey(lock.handleId) !== handle.key);
    openFile.setLocks([...others, ...own], revision);
  }
  if (known.tailClosed) openFile.tail.close(known.tailFrom ?? 0, revision);
  core.news.tell(openFile, revision);
}

/** Takes a handle out of this node's tables; its descriptor closes once nothing runs on it. */
export function dropHandle(core: NodeCore, handle: OpenHandle): void {
  if (handle.closed) return;
  handle.closed = true;
  if (handle.session.handles.get(handle.key) === handle) handle.session.handles.delete(handle.key);
  handle.openFile.tail.changed();
  // What still runs is to be waited for by whoever is about to lock the file or to move its end.
  void handle.running.drained().then(() => {
    handle.openFile.writers.delete(handle);
    core.files.give(handle.openFile);
    closeDescriptor(core, handle);
  });
}

function closeDescriptor(core: NodeCore, handle: OpenHandle): void {
  const file = handle.file;
  handle.file = null;
  core.descriptors.delete(handle);
  if (file !== null) file.then((open) => open.close()).catch(() => {});
}

/**
 * The handle's descriptor, opened at first need. What stands at the path must be the file that the handle was granted:
 * somebody outside Holdfast may have put another one there.
 */
export function descriptor(core: NodeCore, handle: OpenHandle): Promise<VfsFile> {
  core.descriptors.delete(handle);
  core.descriptors.add(handle);
  if (handle.file !== null) return handle.file;
  const file = openExpected(handle);
  handle.file = file;
  file.catch(() => {
    handle.file = null;
  });
  evict(core);
  return file;
}

async function openExpected(handle: OpenHandle): Promise<VfsFile> {
  const write = (handle.access & (access.writeData | access.appendData)) !== 0;
  const file = await handle.vfs.open(handle.path, { write });
  const stat = await file.stat();
  if (stat.fileId === handle.record.fileId) return file;
  await file.close();
  throw new HoldfastError(
    ErrorCode.FILE_NOT_AVAILABLE,
    `${handle.path}: another file stands there now; it was replaced past Holdfast`,
  );
}

// The set is in order of use: its first idle member was not used for the longest time.
function evict(core: NodeCore): void {
  if (core.descriptors.size <= core.limits.openFilesMax) return;
  for (const handle of core.descriptors) {
    if (!handle.running.idle) continue;
    closeDescriptor(core, handle);
    return;
  }
}

/** The handle's queue of writes. */
export function pipeOf(core: NodeCore, handle: OpenHandle): WritePipe {
  handle.pipe ??= new WritePipe({
    gate: core.writeGate,
    file: () => descriptor(core, handle),
    admit: () => admitWrite(core, handle),
    writesPerSyncMax: core.limits.writesPerSyncMax,
    writeThrough: handle.record.kind !== v1.HandleKind.PLAIN,
  });
  return handle.pipe;
}

// What was queued when somebody else closed the handle must not land: whoever has the file now was told that it is over.
function admitWrite(core: NodeCore, handle: OpenHandle): void {
  core.admit(handle.session);
  if (handle.closed)
    throw new HoldfastError(
      ErrorCode.FILE_CLOSED,
      `${handle.path}: the handle was closed before the write was made`,
    );
}

/** A stat as clients see it. */
export function fileInfo(path: string, stat: VfsStat): v1.IFileInfo {
  return {
    fileId: stat.fileId,
    directory: stat.directory,
    size: stat.directory ? 0 : stat.size,
    modifiedMs: Math.max(0, stat.modifiedMs),
    createdMs: Math.max(0, stat.createdMs),
    attributes: (stat.readOnly ? READ_ONLY : 0) | (stat.directory ? DIRECTORY : 0),
    name: baseName(path),
  };
}

/** A stat as the state wants it, with what this node had applied before it looked. */
export function observed(stat: VfsStat | null, revision: number): v1.IObservedFile {
  if (stat === null) return { exists: false, revision };
  return {
    exists: true,
    fileId: stat.fileId,
    directory: stat.directory,
    size: stat.size,
    readOnly: stat.readOnly,
    revision,
  };
}
