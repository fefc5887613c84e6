import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { NodeCore } from "./core.js";
import { idKey } from "./ids.js";
import type { OpenHandle, OwnedSession } from "./sessions.js";

const RETRY_MS = 100;

/**
 * The client of a session goes on in another one, which takes its handles over as soon as this node has said that nothing
 * of the session runs here any more (semantics.md D2). Its channels are gone from now on, as if its connection had broken.
 */
export async function sessionEnding(
  core: NodeCore,
  record: v1.ISessionRecord,
  notify: (session: OwnedSession) => void,
): Promise<void> {
  if (record.owner !== core.node || record.ownerIncarnation !== core.options.lease.incarnation) return;
  const id = record.id ?? 0;
  const connection = record.connection ?? 0;
  const session = core.sessions.get(id);
  // Its client has come once more meanwhile: whoever wants it ended asks again.
  if ((session?.record.connection ?? 0) > connection) return;
  core.gone.connection(id, connection);
  if (session !== undefined) {
    notify(session);
    session.channels.clear();
    for (const handle of session.handles.values()) handle.openFile.tail.changed();
    await session.running.drained();
  }
  const fence = session?.fence() ?? {
    sessionId: id,
    epoch: record.epoch ?? 0,
    node: core.node,
    nodeIncarnation: record.ownerIncarnation ?? 0,
  };
  await insist(core, { disconnectSession: { fence, connection } });
}

/** An operator wants a handle closed: nothing begins on it any more, and when nothing runs this node closes it. */
export async function handleClosing(core: NodeCore, event: v1.IEvent): Promise<void> {
  const session = core.sessions.get(event.sessionId ?? 0);
  if (session === undefined) return;
  const handle = session.handles.get(idKey(event.handleId));
  if (handle?.forced) return;
  const command = { fence: session.fence(), handleId: event.handleId ?? null, forced: event.text ?? "" };
  if (handle === undefined) {
    // Its open, or its resume, has not been answered here yet, and will not be.
    core.gone.handle(idKey(event.handleId));
    await insist(core, { closeHandle: command });
  } else await closeForced(core, handle, command);
}

async function closeForced(core: NodeCore, handle: OpenHandle, command: v1.ICloseHandle): Promise<void> {
  handle.forced = true;
  handle.closing += 1;
  handle.openFile.tail.changed();
  try {
    await handle.running.drained();
    await insist(core, { closeHandle: { ...command, unmodified: handle.unmodified } });
  } finally {
    handle.closing -= 1;
    handle.forced = false;
  }
}

/** Executes a command until its outcome is known: others wait for it, and nobody will repeat it for this node. */
async function insist(core: NodeCore, command: v1.ICommand): Promise<void> {
  while (!core.stopping) {
    try {
      await core.execute(command);
      return;
    } catch (thrown) {
      const error = HoldfastError.from(thrown);
      if (!core.undecided(error) && !LATER.has(error.code)) return;
    }
    await new Promise<void>((resolve) => core.options.runtime.scheduler.after(RETRY_MS, resolve));
  }
}

/** Refusals that are over by themselves. */
const LATER: ReadonlySet<ErrorCode> = new Set([ErrorCode.NOT_READY, ErrorCode.FROZEN]);
