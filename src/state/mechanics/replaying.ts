import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { idOf, shortHex } from "../ids.js";
import { mutant } from "../mutants.js";
import { specificAccess } from "../rules/access.js";
import { type GuidState, replayOutcome } from "../rules/replay.js";
import { type HandleRow, shareBits } from "../tables/handles.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { openResult } from "./opening.js";
import { byHandleId } from "./order.js";
import { resumeHandle } from "./resuming.js";

/** The answer to a create whose guid is known; null: it is a new one (semantics.md B2). */
export function answerReplay(tx: Tx, session: SessionRow, command: v1.IOpenHandle): v1.ICommandResult | null {
  const guid = idOf(command.createGuid);
  if (guid === "") return null;
  const handle = find(tx, session, guid);
  if (handle === null) {
    if (!command.replay) return null;
    return byGuidAlone(tx, session, command, guid) ?? perhapsForgotten(tx, session, command);
  }
  const persistent = handle.kind === v1.HandleKind.PERSISTENT;
  let state = guidState(session, handle);
  if (mutant.replayAfterUse && state === "used" && command.replay) state = "eligible-here";
  const outcome = replayOutcome(state, command.replay ?? false, persistent);
  switch (outcome) {
    case "execute":
      return null;
    case "duplicate":
      return duplicate(tx, handle, state);
    case "not-available":
      return notAvailable(handle);
    case "closed":
      return fail(ErrorCode.FILE_CLOSED, `the handle of this create, ${shortHex(handle.id)}, was closed`);
    case "answer":
    case "resume":
      return answer(tx, session, command, handle, outcome);
  }
}

/**
 * Of the handles that had this guid the one whose create can still be answered, then one that is open, otherwise the
 * latest. A guid may be used again once its handle was used, and then the create that waits for its answer is the later.
 */
function find(tx: Tx, session: SessionRow, guid: string): HandleRow | null {
  let found: HandleRow | null = null;
  for (const handle of tx.store.handles.withGuid(guid)) {
    if (handle.client !== session.client) continue;
    if (found === null || rank(handle) > rank(found)) found = handle;
  }
  return found;
}

/** Above every volatile id. */
const RANK = 2 ** 50;

function rank(handle: HandleRow): number {
  const answerable = handle.replayEligible || handle.state === v1.HandleState.HANDLE_PENDING;
  const first = handle.isInPlace ? (answerable ? 2 : 1) : 0;
  // Never equal: the index may hold rows in another order after a load, and every member has to find the same one.
  return first * RANK + handle.volatileId;
}

function guidState(session: SessionRow, handle: HandleRow): GuidState {
  if (handle.state === v1.HandleState.HANDLE_PENDING) return "pending";
  if (!handle.isOpen) return "closed";
  if (!handle.replayEligible) return "used";
  if (!handle.isConnected) return "eligible-disconnected";
  return handle.session === session ? "eligible-here" : "eligible-other-session";
}

/** On a scale-out share no lease protects the name, so the name rule answers first (test replay5). */
function duplicate(tx: Tx, handle: HandleRow, state: GuidState): v1.ICommandResult {
  const persistent = handle.kind === v1.HandleKind.PERSISTENT;
  if (state === "eligible-disconnected" && persistent && tx.store.share(handle.share)?.scaleOut)
    return notAvailable(handle);
  return fail(ErrorCode.DUPLICATE_OBJECTID, `the create guid is in use by handle ${shortHex(handle.id)}`, {
    next: "set the replay flag if this is the same create, or use a new guid",
  });
}

function notAvailable(handle: HandleRow): v1.ICommandResult {
  return fail(
    ErrorCode.FILE_NOT_AVAILABLE,
    handle.state === v1.HandleState.HANDLE_PENDING
      ? "the create with this guid is still under way"
      : "the create with this guid was answered, and its handle has been used",
    { retryAfterMs: 500 },
  );
}

function answer(
  tx: Tx,
  session: SessionRow,
  command: v1.IOpenHandle,
  handle: HandleRow,
  outcome: "answer" | "resume",
): v1.ICommandResult {
  const problem = hitProblem(session, command, handle);
  if (problem !== null) return problem;
  if (outcome === "resume") {
    const refused = resumeHandle(tx, session, handle, { keepReplayEligible: true });
    if (refused !== null) return refused;
  }
  return { open: openResult(tx, handle, true) };
}

function hitProblem(
  session: SessionRow,
  command: v1.IOpenHandle,
  handle: HandleRow,
): v1.ICommandResult | null {
  if (handle.principal !== session.r.principal && !mutant.principalUnchecked)
    return fail(ErrorCode.ACCESS_DENIED, "the handle of this create belongs to another principal");
  const key = idOf(command.lease?.key);
  // A leased create may be replayed without a lease: the reply says what it has. The reverse would be another create.
  if (key !== "" && key !== handle.leaseKey)
    return fail(ErrorCode.ACCESS_DENIED, "the create with this guid had another lease key");
  if (handle.kind === v1.HandleKind.PERSISTENT && command.kind !== v1.HandleKind.PERSISTENT)
    return fail(
      ErrorCode.INVALID_PARAMETER,
      "the handle of this create is persistent, the replay does not ask for that",
    );
  return null;
}

/**
 * A persistent create on a continuously available share is looked up by its guid alone too: the client may have another
 * client guid after a restart of its machine. More has to agree then.
 */
function byGuidAlone(
  tx: Tx,
  session: SessionRow,
  command: v1.IOpenHandle,
  guid: string,
): v1.ICommandResult | null {
  if (
    command.kind !== v1.HandleKind.PERSISTENT ||
    !tx.store.share(command.share ?? "")?.continuouslyAvailable
  )
    return null;
  const handle = tx.store.handles
    .withGuid(guid)
    .filter((other) => other.isOpen && other.kind === v1.HandleKind.PERSISTENT)
    .sort(byHandleId)[0];
  if (handle === undefined) return null;
  if (handle.isConnected || !handle.replayEligible) return notAvailable(handle);
  if (handle.principal !== session.r.principal)
    return fail(ErrorCode.ACCESS_DENIED, "the handle of this create belongs to another principal");
  const same =
    handle.createOptions === (command.createOptions ?? 0) &&
    handle.grantedAccess === specificAccess(command.desiredAccess ?? 0) &&
    handle.shareBits === shareBits(command.shareMode);
  if (!same)
    return fail(
      ErrorCode.CONTEXT_MISMATCH,
      "the create with this guid had other options, access or share mode",
    );
  if (handle.leaseKey !== "") return notAvailable(handle);
  return answer(tx, session, command, handle, "resume");
}

/**
 * Nobody knows this guid, but the client has closed more handles than there are tombstones kept: its create may have run. A
 * handle that is in place is never forgotten, so either the handle is closed or the create never ran, and FILE_CLOSED is true
 * of both: nothing is done, and the client opens the file under a new guid. A request id tells the two apart by itself: what
 * its slot has gone past was refused before this is asked.
 */
function perhapsForgotten(tx: Tx, session: SessionRow, command: v1.IOpenHandle): v1.ICommandResult | null {
  if (command.kind !== v1.HandleKind.PERSISTENT || (command.request?.sequence ?? 0) !== 0) return null;
  const dropped = tx.store.sessions.ofClient(session.client).some(({ r }) => r.tombstonesDropped);
  if (!dropped) return null;
  return fail(
    ErrorCode.FILE_CLOSED,
    "the create with this guid is unknown, and its client has closed more handles since than are remembered",
    { next: "open the file again under a new create guid" },
  );
}
