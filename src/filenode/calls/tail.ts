import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { NodeCore } from "../core.js";
import type { TailHold } from "../file-tail.js";
import type { OpenFile } from "../open-file.js";
import { refuseWhileFrozen } from "../release.js";
import type { OpenHandle } from "../sessions.js";
import { type Call, refuseWhileEnding, settle } from "./call.js";

/**
 * Runs a call that appends to, cuts or overwrites a file, while no plain write of this node goes beyond where it does so.
 * What the call came to may be unknown here in the end; then the next write asks the state.
 */
export async function holdingTail<T>(
  core: NodeCore,
  call: Call,
  share: string,
  fileId: string,
  use: (file: OpenFile, hold: TailHold) => Promise<T>,
): Promise<T> {
  const file = core.files.take(share, fileId);
  const hold = file.tail.hold(() => call.parkedId !== 0);
  call.onParked = () => file.tail.changed();
  try {
    const result = await use(file, hold);
    file.tail.release(hold);
    return result;
  } catch (error) {
    file.tail.doubt(hold, core.revision);
    throw error;
  } finally {
    core.files.give(file);
  }
}

/** Closes the file from 0 on again and waits for the writes that are under way: what is seen then stays as it is. */
export async function closeWhole(file: OpenFile, hold: TailHold): Promise<void> {
  file.tail.narrow(hold, 0);
  await file.writesEnded(0);
}

/**
 * Resolves when a write may go beyond `end` - 1: at once, unless an append or a cut of the file has no outcome yet. True:
 * the state has let it go, and has broken the leases of others.
 */
export async function untilTailOpen(
  core: NodeCore,
  call: Call,
  handle: OpenHandle,
  end: number,
): Promise<boolean> {
  const { tail } = handle.openFile;
  for (let allowed = false; ; ) {
    const closed = tail.against(end, allowed);
    if (closed === null) return allowed;
    allowed = false;
    if (closed === "here") await tail.change();
    else {
      const opened = await settle(core, call, {
        breakLeases: {
          fence: call.session.fence(),
          handleId: handle.record.id ?? null,
          operation: "write",
          end,
        },
      });
      const { tailClosed, tailFrom } = opened.effect ?? {};
      tail.opened(opened.revision ?? 0, tailClosed ? (tailFrom ?? 0) : null);
      allowed = true;
    }
    stillWanted(core, call, handle);
  }
}

/**
 * Throws when a call that has waited must not go on. While it was parked it did not count as running: whoever waits for
 * the end of all that runs, to connect the client anew, to give the session away, or to close it or the handle, did not
 * wait for it. Each of them takes the channels away, freezes the session, or marks it or the handle before it looks, so
 * what passes here is waited for again.
 */
export function stillWanted(core: NodeCore, call: Call, handle: OpenHandle): void {
  core.admit(call.session);
  refuseWhileFrozen(core, call.session);
  if (call.wasApart) refuseWhileEnding(call.session);
  if (!call.session.channels.has(call.channel))
    throw new HoldfastError(
      ErrorCode.CANCELLED,
      `${handle.path}: the connection by which the write came is gone`,
    );
  if (handle.closed || (call.wasApart && handle.closing > 0))
    throw new HoldfastError(
      ErrorCode.FILE_CLOSED,
      `${handle.path}: the handle was closed while the write waited`,
    );
  if (call.cancelled) throw new HoldfastError(ErrorCode.CANCELLED, "cancelled by the client");
}
