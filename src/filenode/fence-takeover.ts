import { HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import { access } from "./access.js";
import type { NodeCore } from "./core.js";
import type { OwnedSession } from "./sessions.js";

const AT_ONCE = 4;

/**
 * The fence that needs nothing outside (option "copy-on-takeover"): each file that the former owner had open for writing
 * goes on as a copy, unless another session has it open too. Throws while nobody knows whether a copy is still to come:
 * until then the session stays closed, since a copy that takes the file's place later undoes what was written since. Not
 * done when the former owner is up: then it gave the session away itself, after it had finished what was running.
 */
export async function fenceTakenOver(core: NodeCore, session: OwnedSession): Promise<void> {
  if (core.options.fence !== "copy-on-takeover") return;
  if (!session.record.takenOver && !(await formerOwnerIsDown(core, session))) return;
  const answer = await core.options.coordinator.query({ sessionId: session.id });
  if (answer.error) throw HoldfastError.fromDetail(answer.error);
  const files = new Map<string, v1.IHandleRecord>();
  for (const handle of answer.handles ?? [])
    if (isWriter(handle)) files.set(`${handle.share}\0${handle.fileId}`, handle);
  const wanted = [...files.values()];
  for (let i = 0; i < wanted.length; i += AT_ONCE)
    await allOf(wanted.slice(i, i + AT_ONCE).map((handle) => fenceFile(core, session, handle)));
}

/** Waits for all of them and throws the first failure: nothing may go on behind the back of the next attempt. */
async function allOf(tasks: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(tasks)) if (result.status === "rejected") throw result.reason;
}

async function formerOwnerIsDown(core: NodeCore, session: OwnedSession): Promise<boolean> {
  const former = session.record.previousOwner ?? "";
  if (former === "" || former === core.node) return false;
  const answer = await core.options.coordinator.query({ nodes: {} });
  const node = (answer.nodes ?? []).find((record) => record.name === former);
  return node?.status !== v1.NodeStatus.NODE_UP;
}

function isWriter(handle: v1.IHandleRecord): boolean {
  const writes = ((handle.grantedAccess ?? 0) & (access.writeData | access.appendData)) !== 0;
  return writes && !handle.directory && handle.state === v1.HandleState.HANDLE_OPEN && !!handle.fileId;
}

async function fenceFile(core: NodeCore, session: OwnedSession, handle: v1.IHandleRecord): Promise<void> {
  const share = handle.share ?? "";
  const path = handle.path ?? "";
  const log = (reason: string) =>
    core.options.runtime.log.warn({ share, path, reason }, "a file is not fenced against its former owner");
  if (!core.options.shares.has(share)) return log("the share is not served here");
  try {
    const seenRevision = core.revision;
    const stat = await core.vfs(share).stat(path);
    if (stat === null || stat.fileId !== handle.fileId) return log("another file stands there");
    // A copy would part from the other names of the file.
    if (stat.linkCount > 1) return log("it has several names");
    const result = await core.execute({
      beginEffect: {
        fence: session.fence(),
        effect: {
          kind: v1.EffectKind.EFFECT_FENCE,
          share,
          path,
          fileId: stat.fileId,
          sizeBefore: stat.size,
          begunRevision: seenRevision,
        },
      },
    });
    const effect = result.effect?.effect;
    if (result.effect?.status !== v1.EffectResult.Status.PERFORM || !effect)
      return log("another effect is under way");
    await core.perform(effect, session);
  } catch (thrown) {
    const error = HoldfastError.from(thrown);
    if (!core.endedFor(error)) throw error;
    // Without the fence the lease and its margin are what holds; the session must not stay closed for it.
    log(`${error.codeName}: ${error.message}`);
  }
}
