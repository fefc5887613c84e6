import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { NodeCore } from "./core.js";
import { microseconds } from "./pauses.js";
import type { OwnedSession } from "./sessions.js";

/** An effect that is just ending makes the state ask for a moment more. */
const RETRY_MS = 5;
const RETRIES_MAX = 200;

/**
 * The owner's half of a planned transfer (semantics.md D2): no new calls, what runs is finished, and only then is the
 * session released to where the operation says. If anything goes wrong it stays here, and whoever drives the operation
 * thaws it.
 */
export function sessionFrozen(core: NodeCore, record: v1.ISessionRecord): void {
  const mine = record.owner === core.node && record.ownerIncarnation === core.options.lease.incarnation;
  if (!mine) return;
  const session = core.sessions.get(record.id ?? 0);
  const operationId = record.frozenBy ?? "";
  if (session !== undefined) {
    if (session.frozenBy === operationId) return;
    session.frozenBy = operationId;
    // Writes that wait for the end of an append or a cut are not what is waited for: they go back to their clients.
    for (const handle of session.handles.values()) handle.openFile.tail.changed();
  }
  if (operationId === "") return;
  release(core, record, session, operationId).catch((thrown: unknown) => {
    const error = HoldfastError.from(thrown);
    core.options.runtime.log.warn(
      { session: record.id, operation: operationId, error: `${error.codeName} ${error.message}` },
      "a session was not released",
    );
  });
}

/** Throws FROZEN while a session is being handed over: its client asks again, and is told where to go when it has moved. */
export function refuseWhileFrozen(core: NodeCore, session: OwnedSession): void {
  if (session.frozenBy === "") return;
  throw new HoldfastError(
    ErrorCode.FROZEN,
    `session ${session.id} is being moved by operation ${session.frozenBy}`,
    { node: core.node, epoch: session.epoch, retryAfterMs: 10 },
  );
}

async function release(
  core: NodeCore,
  record: v1.ISessionRecord,
  session: OwnedSession | undefined,
  operationId: string,
): Promise<void> {
  const { clock } = core.options.runtime;
  const beganMs = clock.monotonicMs();
  const item = await itemOf(core, operationId, record);
  await session?.running.drained();
  for (let attempt = 0; ; attempt++) {
    // Thawed meanwhile, or gone: nothing is to be released any more.
    if (session !== undefined && (session.gone || session.frozenBy !== operationId)) return;
    try {
      const proposedMs = clock.monotonicMs();
      const moved = await core.execute({
        moveSession: {
          fence: {
            sessionId: record.id ?? 0,
            epoch: record.epoch ?? 0,
            node: core.node,
            nodeIncarnation: core.options.lease.incarnation,
          },
          to: item.to ?? "",
          handleId: item.handleId ?? null,
          operationId,
          fenceUs: microseconds(proposedMs - beganMs),
        },
      });
      // A handle that moved alone did so in a session of its own, which is the one that is waited for.
      const { id, epoch } = moved.session ?? {};
      core.pauses.released(id ?? 0, epoch ?? 0, clock.monotonicMs() - proposedMs);
      return;
    } catch (thrown) {
      const error = HoldfastError.from(thrown);
      if (error.code !== ErrorCode.NOT_READY || attempt >= RETRIES_MAX) throw error;
      await pause(core, RETRY_MS);
    }
  }
}

/** Where the operation sends the session, or one handle of it. */
async function itemOf(
  core: NodeCore,
  operationId: string,
  record: v1.ISessionRecord,
): Promise<v1.IOperationItem> {
  // The entry that froze the session came after the operation's: what is known here is enough, and no round is waited for.
  const { coordinator } = core.options;
  let answer = await coordinator.query({ operation: operationId, stale: true });
  // Another coordinator may be asked than the one that told of the freeze, and be behind it.
  if (answer.error) answer = await coordinator.query({ operation: operationId });
  if (answer.error) throw HoldfastError.fromDetail(answer.error);
  const items = answer.operations?.[0]?.items ?? [];
  const item = items.find(({ sessionId }) => sessionId === record.id);
  if (item !== undefined) return item;
  throw new HoldfastError(
    ErrorCode.UNKNOWN_OPERATION,
    `operation ${operationId} does not name session ${record.id}`,
  );
}

function pause(core: NodeCore, ms: number): Promise<void> {
  return new Promise((resolve) => core.options.runtime.scheduler.after(ms, resolve));
}
