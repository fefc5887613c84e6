import { ErrorCode } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { ackLease } from "./commands/ack-lease.js";
import { beginEffect } from "./commands/begin-effect.js";
import { beginOperation } from "./commands/begin-operation.js";
import { breakLeasesCommand } from "./commands/break-leases.js";
import { cancelPending } from "./commands/cancel-pending.js";
import { claimKey } from "./commands/claim-key.js";
import { closeHandleCommand } from "./commands/close-handle.js";
import { closeSession } from "./commands/close-session.js";
import { connectSession } from "./commands/connect-session.js";
import { continueTakeover } from "./commands/continue-takeover.js";
import { defineShare } from "./commands/define-share.js";
import { disconnectSession } from "./commands/disconnect-session.js";
import { endOperation } from "./commands/end-operation.js";
import { expireBreak } from "./commands/expire-break.js";
import { expireHandle } from "./commands/expire-handle.js";
import { expireKey } from "./commands/expire-key.js";
import { expireSession } from "./commands/expire-session.js";
import { finishEffect } from "./commands/finish-effect.js";
import { forceClose } from "./commands/force-close.js";
import { freezeSession } from "./commands/freeze-session.js";
import { initCluster } from "./commands/init-cluster.js";
import { lock } from "./commands/lock.js";
import { lockPrepared } from "./commands/lock-prepared.js";
import { moveSessionCommand } from "./commands/move-session.js";
import { nodeDown } from "./commands/node-down.js";
import { noteFailover } from "./commands/note-failover.js";
import { notePauses } from "./commands/note-pauses.js";
import { openHandle } from "./commands/open-handle.js";
import { openSession } from "./commands/open-session.js";
import { reconnectHandle } from "./commands/reconnect-handle.js";
import { registerNode } from "./commands/register-node.js";
import { releaseKey } from "./commands/release-key.js";
import { removeNode } from "./commands/remove-node.js";
import { retryWoken } from "./commands/retry.js";
import { scheduleNode } from "./commands/schedule-node.js";
import { setBlob } from "./commands/set-blob.js";
import { setDisposition } from "./commands/set-disposition.js";
import { setMember } from "./commands/set-member.js";
import { storeKey } from "./commands/store-key.js";
import { takeoverDone } from "./commands/takeover-done.js";
import { useHandle } from "./commands/use-handle.js";
import { breakDirectories } from "./mechanics/breaks.js";
import { fail, type Tx } from "./tx.js";

/** Names of all commands. */
export type CommandName = Exclude<keyof v1.ICommand, "$unknowns" | "body">;

type Handlers = {
  readonly [N in CommandName]: (tx: Tx, command: NonNullable<v1.ICommand[N]>) => v1.ICommandResult;
};

/** One handler a command. A command without one does not compile. */
const HANDLERS: Handlers = {
  initCluster,
  registerNode,
  nodeDown,
  continueTakeover,
  scheduleNode,
  removeNode,
  advanceTime: () => ({}),
  setMember,
  defineShare,
  openSession,
  connectSession,
  disconnectSession,
  closeSession,
  expireSession,
  takeoverDone,
  openHandle,
  reconnectHandle,
  closeHandle: closeHandleCommand,
  expireHandle,
  useHandle,
  setDisposition,
  lock,
  cancelPending,
  ackLease,
  expireBreak,
  breakLeases: breakLeasesCommand,
  beginEffect,
  finishEffect,
  forceClose,
  setBlob,
  lockPrepared,
  claimKey,
  storeKey,
  releaseKey,
  expireKey,
  beginOperation,
  freezeSession,
  moveSession: moveSessionCommand,
  endOperation,
  noteFailover,
  notePauses,
  batch,
};

/** Runs one command, and after it what follows for the directories of changed files, and the parked calls that it let go. */
export function dispatch(tx: Tx, command: v1.ICommand): v1.ICommandResult {
  const name = nameOf(command);
  if (name === null)
    return fail(
      ErrorCode.UNSUPPORTED_VERSION,
      "the command is empty, or of a kind that this version does not know",
    );
  const handler = HANDLERS[name] as (tx: Tx, command: unknown) => v1.ICommandResult;
  const result = handler(tx, command[name]);
  while (tx.changed.length > 0 || tx.woken.size > 0) {
    breakDirectories(tx);
    retryWoken(tx);
  }
  return result;
}

function nameOf(command: v1.ICommand): CommandName | null {
  // Not "for in": it would list the 42 absent ones of a decoded command's prototype as well, at each command.
  for (const name of Object.keys(command)) {
    if (Object.hasOwn(HANDLERS, name) && (command[name as CommandName] ?? null) !== null)
      return name as CommandName;
  }
  return null;
}

function batch(tx: Tx, command: v1.IBatch): v1.ICommandResult {
  const commands = command.commands ?? [];
  if (commands.length > limits.batchCommandsMax)
    return fail(
      ErrorCode.LIMIT_EXCEEDED,
      `${commands.length} commands; a batch has at most ${limits.batchCommandsMax}`,
    );
  let refused = false;
  const results = commands.map((inner, i) => {
    if (refused) return fail(ErrorCode.CANCELLED, "the first command of the batch was refused");
    if (inner.batch) return fail(ErrorCode.INVALID_ARGUMENT, "a batch in a batch");
    const result = dispatch(tx, inner);
    result.revision ??= tx.revision;
    if (i === 0) refused = command.firstGuards === true && Boolean(result.error);
    return result;
  });
  return { batch: { results } };
}
