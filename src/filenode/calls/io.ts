import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { access } from "../access.js";
import type { NodeCore } from "../core.js";
import { digestOf } from "../effects/append.js";
import { descriptor, pipeOf } from "../handles.js";
import { filenodeMutants } from "../mutants.js";
import { conflictingLock } from "../range-locks.js";
import type { TailHold } from "../file-tail.js";
import type { OpenFile } from "../open-file.js";
import type { OpenHandle } from "../sessions.js";
import { type Call, firstUse, handleOf, needAccess, onHandle, position, type Reply, settle } from "./call.js";
import { type EffectWish, effectCall } from "./effect.js";
import { closeWhole, holdingTail, stillWanted, untilTailOpen } from "./tail.js";

/** Reads; past the end there is nothing, which is no error. */
export function readCall(core: NodeCore, call: Call, request: v1.IReadRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  needAccess(handle, access.readData | access.execute, "read");
  const offset = position(request.offset, "offset");
  const length = checkedLength(request.length ?? 0);
  return onHandle(core, call, handle, READING, async () => {
    const data = await withoutConflict(handle, offset, length, false, () =>
      core.readGate.run(
        () => core.admit(call.session),
        async () => (await descriptor(core, handle)).read(offset, length),
      ),
    );
    return { read: { data, endOfFile: data.length < length } };
  });
}

/** Writes at an offset. Repeatable as it is, since the channel sequence keeps late originals out (semantics.md B5). */
export function writeCall(core: NodeCore, call: Call, request: v1.IWriteRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  const data = request.data ?? new Uint8Array(0);
  checkedLength(data.length);
  if (request.append) return appendCall(core, call, handle, data);
  needAccess(handle, access.writeData, "write");
  const offset = position(request.offset, "offset");
  const end = position(offset + data.length, "end of the write");
  return onHandle(core, call, handle, WRITING, async () => {
    checkLocks(handle, offset, data.length, true);
    // All before the write counts as running: who closes the tail of the file waits for the writes that run, and who holds
    // a lease may have to write there before it can give the lease up. One would wait for the other.
    for (let allowed = false; ; ) {
      if (!allowed) await breakLeases(core, call, handle);
      if (handle.openFile.tail.against(end, allowed) === null) break;
      allowed = await queued(core, data.length, () => untilTailOpen(core, call, handle, end));
    }
    // A client that went on without it has repeated it: it would land over what came after that.
    stillWanted(core, call, handle);
    return withoutConflict(handle, offset, data.length, true, async () => {
      handle.openFile.noteWriter(handle, core.options.runtime.clock.monotonicMs());
      await queued(core, data.length, () => pipeOf(core, handle).write(offset, data));
      return { write: { written: data.length, offset } };
    });
  });
}

/**
 * Others who cache what is about to be written must stop before (semantics.md F3). The log is asked once, and again
 * whenever somebody was granted a lease on the file since: not for every write.
 */
async function breakLeases(core: NodeCore, call: Call, handle: OpenHandle): Promise<void> {
  const file = handle.openFile;
  if (!file.leasesPossible(handle.record.leaseKey)) return firstUse(core, handle);
  const asked = file.leaseGrants;
  await settle(core, call, {
    breakLeases: { fence: call.session.fence(), handleId: handle.record.id ?? null, operation: "write" },
  });
  file.leasesBroken(handle.record.leaseKey, asked);
  handle.record = { ...handle.record, replayEligible: false };
}

const READING = { modifying: false, recorded: false };
/** The first write asks for the leases of others to be broken, which records the use of the handle too. */
const WRITING = { modifying: true, recorded: true };

function checkedLength(length: number): number {
  if (length <= limits.chunkBytesMax) return length;
  throw new HoldfastError(
    ErrorCode.LIMIT_EXCEEDED,
    `${length} bytes in one call; at most ${limits.chunkBytesMax} are taken`,
    { next: "split it" },
  );
}

async function queued<T>(core: NodeCore, bytes: number, write: () => Promise<T>): Promise<T> {
  if (core.queuedWriteBytes + bytes > core.limits.queuedWriteBytesMax)
    throw new HoldfastError(
      ErrorCode.OVERLOADED,
      `${core.queuedWriteBytes} bytes of writes wait on ${core.node}`,
      { retryAfterMs: 50 },
    );
  core.queuedWriteBytes += bytes;
  try {
    return await write();
  } finally {
    core.queuedWriteBytes -= bytes;
  }
}

/** Byte-range locks are mandatory for I/O, those held at other nodes included (semantics.md F2). */
async function withoutConflict<T>(
  handle: OpenHandle,
  offset: number,
  length: number,
  write: boolean,
  operation: () => Promise<T>,
): Promise<T> {
  const file = handle.openFile;
  checkLocks(handle, offset, length, write);
  const io = file.begin(handle.key, offset, length, write);
  try {
    return await operation();
  } finally {
    file.end(io);
  }
}

function checkLocks(handle: OpenHandle, offset: number, length: number, write: boolean): void {
  if (filenodeMutants.ignoreOthersLocks) return;
  const lock = conflictingLock(handle.openFile.locks, handle.key, offset, length, write);
  if (lock === undefined) return;
  throw new HoldfastError(
    ErrorCode.FILE_LOCK_CONFLICT,
    `${handle.path}: ${write ? "write" : "read"} of ${length} bytes at ${offset} meets a lock at ${lock.offset}`,
  );
}

// An append is not repeatable: its offset is given out in the log, and its outcome kept (semantics.md B5).
function appendCall(core: NodeCore, call: Call, handle: OpenHandle, data: Uint8Array): Promise<Reply> {
  needAccess(handle, access.writeData | access.appendData, "append to");
  return onHandle(core, call, handle, { modifying: true, recorded: true }, () => {
    const turn = handle.openFile.appends.then(() =>
      queued(core, data.length, () =>
        holdingTail(core, call, handle.share, handle.record.fileId ?? "", (file, hold) =>
          effectCall(core, call, (seenRevision) => appendWish(core, handle, data, seenRevision, file, hold)),
        ),
      ),
    );
    handle.openFile.appends = turn.catch(() => {});
    return turn;
  });
}

async function appendWish(
  core: NodeCore,
  handle: OpenHandle,
  data: Uint8Array,
  seenRevision: number,
  file: OpenFile,
  hold: TailHold,
): Promise<EffectWish> {
  await closeWhole(file, hold);
  const { size } = await (await descriptor(core, handle)).stat();
  file.tail.narrow(hold, size);
  checkLocks(handle, size, data.length, true);
  return {
    kind: v1.EffectKind.EFFECT_APPEND,
    seenRevision,
    handle,
    share: handle.share,
    path: handle.path,
    fileId: handle.record.fileId ?? "",
    sizeBefore: size,
    offset: size,
    length: data.length,
    data,
    beforePerform: () => file.writesEnded(size),
    dataDigest: digestOf(data),
  };
}

/** Everything written through this handle is on stable storage when it resolves. */
export function flushCall(core: NodeCore, call: Call, request: v1.IFlushRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  return onHandle(core, call, handle, READING, async () => {
    await core.writeGate.run(
      () => core.admit(call.session),
      async () => (await descriptor(core, handle)).sync(),
    );
    return { done: {} };
  });
}
