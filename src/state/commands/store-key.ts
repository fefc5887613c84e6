import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { own } from "../ids.js";
import { keyFence } from "../mechanics/key-fence.js";
import { fail, type Tx } from "../tx.js";
import { bytesProblem } from "../validate.js";

/** Replaces the state under a resume key. The hottest command: no event, and the answer does not carry the state back. */
export function storeKey(tx: Tx, command: v1.IStoreKey): v1.ICommandResult {
  const key = command.key ?? "";
  const found = keyFence(tx, key, command.node ?? "", command.nodeIncarnation ?? 0, command.epoch ?? 0);
  if ("error" in found) return found;
  const { row } = found;
  const problem = bytesProblem("state", command.state, limits.keyStateBytesMax);
  if (problem !== null) return problem;
  const expected = command.expectVersion ?? 0;
  if (expected !== 0 && expected !== row.version)
    return fail(
      ErrorCode.PRECONDITION_FAILED,
      `resume key "${key}" is at version ${row.version}, not ${expected}`,
    );
  row.state = own(command.state);
  row.version++;
  row.changedRevision = tx.revision;
  tx.store.touch(row);
  return {
    key: { key, epoch: row.epoch, version: row.version, owner: row.owner, changedRevision: tx.revision },
  };
}
