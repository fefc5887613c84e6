import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { NodeCore } from "./core.js";
import { fenceTakenOver } from "./fence-takeover.js";
import { dropHandle } from "./handles.js";
import { filenodeMutants } from "./mutants.js";
import { OwnedSession } from "./sessions.js";

const TAKEOVER_RETRY_MS = 200;

/**
 * Takes a session that this node owns into its tables. Handles are taken up one by one when the client reconnects them.
 * If it was inherited, what its former owner left pending is resolved first, and nobody gets at the session before.
 * Throws NOT_READY for a record from before the session's present connection.
 */
export function loadSession(core: NodeCore, record: v1.ISessionRecord): OwnedSession {
  const id = record.id ?? 0;
  const present = core.sessions.get(id);
  if (present !== undefined && present.epoch === (record.epoch ?? 0) && !present.gone) {
    // The answer to an earlier attempt of the client comes after that to a later one, which has its handles already.
    if ((record.connection ?? 0) < (present.record.connection ?? 0))
      throw new HoldfastError(ErrorCode.NOT_READY, `session ${id} was connected once more meanwhile`, {
        node: core.node,
        retryAfterMs: 100,
      });
    dropHandles(core, present);
    present.record = record;
    return present;
  }
  if (present !== undefined) dropSession(core, present);
  const session = new OwnedSession(record, core.node, core.options.lease.incarnation);
  core.sessions.set(id, session);
  if (record.previousOwner && !record.connected) core.pauses.arrived(id, session.epoch);
  if (!filenodeMutants.skipResolution && inherited(core, record)) {
    session.ready = untilTakenOver(core, session);
  }
  return session;
}

/** Forgets a session: it is owned elsewhere, or ended. What runs on it fails at its next look at the lease. */
export function dropSession(core: NodeCore, session: OwnedSession): void {
  session.gone = true;
  core.pending.sessionLeft(session.id);
  dropHandles(core, session);
  if (core.sessions.get(session.id) !== session) return;
  core.sessions.delete(session.id);
  core.pauses.left(session.id);
}

function dropHandles(core: NodeCore, session: OwnedSession): void {
  for (const handle of [...session.handles.values()]) dropHandle(core, handle);
}

// A session without effects is ready at once in the state; only a fence may still be wanted.
function inherited(core: NodeCore, record: v1.ISessionRecord): boolean {
  return record.takenOver === true || (core.options.fence === "copy-on-takeover" && !!record.previousOwner);
}

// Storage that hangs or a log without a leader ends some time; until then the session stays closed.
async function untilTakenOver(core: NodeCore, session: OwnedSession): Promise<void> {
  while (!session.gone) {
    try {
      return await takeOver(core, session);
    } catch (error) {
      core.options.runtime.log.warn(
        { session: session.id, error: String(error) },
        "takeover is not possible yet",
      );
      await new Promise<void>((resolve) => {
        core.options.runtime.scheduler.after(TAKEOVER_RETRY_MS, resolve);
      });
    }
  }
}

async function takeOver(core: NodeCore, session: OwnedSession): Promise<void> {
  if (session.record.takenOver) await resolveInherited(core, session);
  await fenceTakenOver(core, session);
  if (session.record.takenOver) await sayDone(core, session);
}

async function sayDone(core: NodeCore, session: OwnedSession): Promise<void> {
  await core.execute({ takeoverDone: { fence: session.fence() } });
  session.record = { ...session.record, takenOver: false };
}

async function resolveInherited(core: NodeCore, session: OwnedSession): Promise<void> {
  const answer = await core.options.coordinator.query({ sessionId: session.id });
  if (answer.error) throw HoldfastError.fromDetail(answer.error);
  core.noteRevision(answer.revision);
  for (const effect of answer.effects ?? []) await resolveOne(core, session, effect);
}

// An effect that is taken back is an end too; only one whose end nobody knows keeps the session closed.
async function resolveOne(core: NodeCore, session: OwnedSession, effect: v1.IEffectRecord): Promise<void> {
  try {
    await core.resolve(effect, session);
  } catch (thrown) {
    const error = HoldfastError.from(thrown);
    core.options.runtime.log.info(
      { effect: effect.id, path: effect.path, error: error.message },
      "an inherited effect was taken back",
    );
    if (!core.recordedAsFailed(error)) throw error;
  }
}
