import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { access } from "../access.js";
import type { NodeCore } from "../core.js";
import { digestOf } from "../effects/append.js";
import { descriptor, pipeOf } from "../handles.js";
import { filenodeMutants } from "../mutants.js";
import { conflictingLock } from "../range-locks.js";
import type { OpenHandle } from "../sessions.js";
import { type Call, handleOf, needAccess, onHandle, position, type Reply } from "./call.js";
import { effectCall } from "./effect.js";

/** Reads; past the end there is nothing, which is no error. */
export function readCall(core: NodeCore, call: Call, request: v1.IReadRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  needAccess(handle, access.readData | access.execute, "read");
  const offset = position(request.offset, "offset");
  const length = checkedLength(request.length ?? 0);
  return onHandle(core, call, handle, false, async () => {
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
  position(offset + data.length, "end of the write");
  return onHandle(core, call, handle, true, () =>
    withoutConflict(handle, offset, data.length, true, async () => {
      await queued(core, data.length, () => pipeOf(core, handle).write(offset, data));
      return { write: { written: data.length, offset } };
    }),
  );
}

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
  const lock = filenodeMutants.ignoreOthersLocks
    ? undefined
    : conflictingLock(file.locks, handle.key, offset, length, write);
  if (lock !== undefined)
    throw new HoldfastError(
      ErrorCode.FILE_LOCK_CONFLICT,
      `${handle.path}: ${write ? "write" : "read"} of ${length} bytes at ${offset} meets a lock at ${lock.offset}`,
    );
  const io = file.begin(handle.key, offset, length, write);
  try {
    return await operation();
  } finally {
    file.end(io);
  }
}

// An append is not repeatable: its offset is given out in the log, and its outcome kept (semantics.md B5).
function appendCall(core: NodeCore, call: Call, handle: OpenHandle, data: Uint8Array): Promise<Reply> {
  needAccess(handle, access.writeData | access.appendData, "append to");
  return onHandle(core, call, handle, true, () => {
    const turn = handle.openFile.appends.then(async () => {
      const size = (await (await descriptor(core, handle)).stat()).size;
      return withoutConflict(handle, size, data.length, true, () =>
        queued(core, data.length, () =>
          effectCall(core, call, {
            kind: v1.EffectKind.EFFECT_APPEND,
            handle,
            share: handle.share,
            path: handle.path,
            fileId: handle.record.fileId ?? "",
            sizeBefore: size,
            offset: size,
            length: data.length,
            data,
            dataDigest: digestOf(data),
          }),
        ),
      );
    });
    handle.openFile.appends = turn.catch(() => {});
    return turn;
  });
}

/** Everything written through this handle is on stable storage when it resolves. */
export function flushCall(core: NodeCore, call: Call, request: v1.IFlushRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  return onHandle(core, call, handle, false, async () => {
    await core.writeGate.run(
      () => core.admit(call.session),
      async () => (await descriptor(core, handle)).sync(),
    );
    return { done: {} };
  });
}
