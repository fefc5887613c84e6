import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { type Id, idOf, shortHex } from "../ids.js";
import { mutant } from "../mutants.js";
import { takeOverApplication } from "../mechanics/app-instance.js";
import { checkFence } from "../mechanics/fence.js";
import { openIdentity } from "../mechanics/identity.js";
import { attemptOpen, openResult } from "../mechanics/opening.js";
import { answerReplay } from "../mechanics/replaying.js";
import { onceOnly } from "../mechanics/reply-cache.js";
import { resumeHandle } from "../mechanics/resuming.js";
import { mayNameFolder } from "../rules/disposition.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";
import {
  bytesProblem,
  firstProblem,
  guidProblem,
  optionalGuidProblem,
  pathProblem,
  type Problem,
  shareProblem,
} from "../validate.js";

/**
 * A create. Order (semantics.md B2, D3): the stored reply of the same request; the application instance; the create guid;
 * then the table of opens.
 */
export function openHandle(tx: Tx, command: v1.IOpenHandle): v1.ICommandResult {
  const session = checkFence(tx, command.fence);
  if (!(session instanceof SessionRow)) return failed(session);
  const result = onceOnly(
    tx,
    session,
    command.request,
    () => openIdentity(command),
    (digest) => open(tx, session, command, digest),
  );
  return result.repeated ? resumeRepeated(tx, session, result) : result;
}

/**
 * The answer of a create was lost with its connection, and the client asks for it on the next one: it could not resume a
 * handle whose id it never learned. So the handle is resumed with the answer, as for a replay by guid (semantics.md B2).
 */
function resumeRepeated(tx: Tx, session: SessionRow, result: v1.ICommandResult): v1.ICommandResult {
  const open = result.open;
  const handle = tx.store.handles.byId.get(idOf(open?.handle?.id));
  if (!open || open.status !== v1.OpenResult.Status.DONE || !handle?.isOpen || handle.session !== session)
    return result;
  if (!handle.isConnected) {
    if (!handle.replayEligible) return result;
    resumeHandle(tx, session, handle, { keepReplayEligible: true });
  }
  // What it says of the file is of now, and so must its revision be: news from between would take back the end of its tail.
  return { ...result, revision: tx.revision, open: openResult(tx, handle, open.replayed ?? false) };
}

function open(tx: Tx, session: SessionRow, command: v1.IOpenHandle, digest: Id): v1.ICommandResult {
  const problem = openProblem(tx, session, command);
  if (problem !== null) return problem;
  const takeover = takeOverApplication(tx, session, command);
  if (takeover !== null && "refuse" in takeover) return takeover.refuse;
  const replay = mutant.replayExecutesAgain ? null : answerReplay(tx, session, command);
  if (replay !== null) return replay;
  // Not before: the repeat of a create may propose the id that the first one got.
  const id = idOf(command.handleId);
  if (tx.store.handles.byId.has(id))
    return fail(ErrorCode.INVALID_ARGUMENT, `handle id ${shortHex(id)} was used before`);
  return attemptOpen(tx, { session, command, digest, parked: null, takeover });
}

function openProblem(tx: Tx, session: SessionRow, command: v1.IOpenHandle): Problem {
  return firstProblem(
    guidProblem("handle id", command.handleId),
    optionalGuidProblem("create guid", command.createGuid),
    shareProblem(tx.store.share(command.share ?? ""), command.share),
    pathProblem("path", command.path),
    optionalGuidProblem("lease key", command.lease?.key),
    optionalGuidProblem("parent lease key", command.lease?.parentKey),
    optionalGuidProblem("application instance", command.appInstance?.id),
    bytesProblem("blob", command.blob, limits.blobBytesMax),
    kindProblem(command.kind ?? 0),
    folderProblem(command),
    observedProblem(command.observed),
    limitProblem(tx, session),
  );
}

function kindProblem(kind: v1.HandleKind): Problem {
  if (v1.HandleKind[kind] !== undefined) return null;
  return fail(ErrorCode.INVALID_ARGUMENT, `handle kind ${kind} is unknown`);
}

function folderProblem(command: v1.IOpenHandle): Problem {
  if (!command.wantDirectory) return null;
  const where = `${command.share}:${command.path}`;
  if (command.wantFile)
    return fail(ErrorCode.INVALID_PARAMETER, `${where}: a file and a directory were asked for at once`);
  const disposition = command.disposition ?? 0;
  if (mayNameFolder(disposition)) return null;
  return fail(
    ErrorCode.INVALID_PARAMETER,
    `${where}: a directory cannot be opened with ${v1.Disposition[disposition]}, it has no content to replace`,
    { next: "use OPEN, OPEN_IF or CREATE for a directory" },
  );
}

function observedProblem(observed: v1.IObservedFile | null | undefined): Problem {
  if (observed?.exists && !observed.fileId)
    return fail(
      ErrorCode.INVALID_ARGUMENT,
      "the observation says that the file exists, but not which file it is",
    );
  return null;
}

function limitProblem(tx: Tx, session: SessionRow): Problem {
  const { handles } = tx.store;
  if (session.liveHandles >= limits.handlesPerSessionMax)
    return fail(
      ErrorCode.TOO_MANY_OPENED_FILES,
      `a session has at most ${limits.handlesPerSessionMax} handles`,
    );
  if (handles.byId.size >= limits.handlesMax)
    return fail(ErrorCode.LIMIT_EXCEEDED, `the cluster has ${limits.handlesMax} handles, which is the limit`);
  return null;
}
