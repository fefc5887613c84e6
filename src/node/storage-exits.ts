import { COMMIT_WITHIN_LOG, InvariantError } from "../raft/index.js";
import { isDamage, REBUILD_FROM_PEERS } from "../storage/index.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { NodeConfig } from "./config.js";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";

/** The exit code and the one line for a database that cannot be opened. */
export function storageExit(folder: string, thrown: unknown): Error {
  if (!(thrown instanceof HoldfastError)) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  const next = thrown.extras.next ?? "look at the folder and the log beside it";
  if (/is in use by another process/.test(thrown.message)) {
    return new NodeExitError(NODE_EXIT.dataInUse, thrown.message, next, thrown);
  }
  if (/may not be read or written|no space left/.test(thrown.message)) {
    return new NodeExitError(NODE_EXIT.dataUnwritable, thrown.message, next, thrown);
  }
  const message = thrown.message.includes(folder) ? thrown.message : `${folder}: ${thrown.message}`;
  return new NodeExitError(NODE_EXIT.dataDamaged, message, next, thrown);
}

/**
 * The same for what is thrown while an opened database is loaded: log and state are read there, so most damage shows
 * only then. It is as final as damage at opening, where a start again would be of no use; so is state of a newer version.
 */
export function loadExit(folder: string, thrown: unknown): Error {
  if (isDamage(thrown) || isNewer(thrown)) return storageExit(folder, thrown);
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

// What a newer program wrote stays unreadable, however often this one is started.
function isNewer(thrown: unknown): boolean {
  return thrown instanceof HoldfastError && thrown.code === ErrorCode.UNSUPPORTED_VERSION;
}

/** The peers know this member by another disk: it has forgotten its votes and may not take part under its old identity. */
export function refusedExit(name: string, folder: string, refusal: HoldfastError): NodeExitError {
  return new NodeExitError(
    NODE_EXIT.dataDamaged,
    `${name} is refused by its peers, data folder ${folder}: ${refusal.message}`,
    (refusal.extras.next ?? "holdfast members remove NAME, and add another one").replace("NAME", name),
    refusal,
  );
}

/**
 * The leader counts on entries that this disk acknowledged and does not have: an older copy of the folder was put back, or
 * the disk lost writes that it had called durable. Started again it would vote with less than it promised, as soon as a
 * leader comes that does not remember; so it ends like any other damage.
 */
function rolledBackExit(name: string, folder: string, broken: InvariantError): NodeExitError {
  return new NodeExitError(
    NODE_EXIT.dataDamaged,
    `${folder}: the log ends at ${broken.right}, and the leader has its acknowledgement up to ${broken.left}: ` +
      "an older copy was put back, or the disk lost writes",
    REBUILD_FROM_PEERS.replace("NAME", name),
    broken,
  );
}

/** A running replica that cannot go on, by the code that it ended with. */
export function replicaExit(reason: string, exitCode: number, next?: string): NodeExitError {
  const usual: Readonly<Record<number, string>> = {
    [NODE_EXIT.diskFailed]: "look at the disk, then start the node again",
    [NODE_EXIT.dataDamaged]: "move the data folder away, remove the member and add another one",
  };
  return new NodeExitError(exitCode, reason, next ?? usual[exitCode] ?? "see the log in the data folder");
}

/** The end of a node by an exception that nobody caught: a bug, but for what only a disk can have done. */
export function crashExit(
  error: Error,
  config: Pick<NodeConfig, "name" | "data"> | undefined,
): NodeExitError {
  if (config !== undefined && error instanceof InvariantError && error.invariant === COMMIT_WITHIN_LOG)
    return rolledBackExit(config.name, config.data, error);
  const next = "see the log in the data folder and report it";
  return new NodeExitError(NODE_EXIT.internal, `broken invariant: ${firstLine(error.message)}`, next, error);
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}
