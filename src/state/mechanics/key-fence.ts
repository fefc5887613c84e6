import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import type { KeyRow } from "../tables/resume-keys.js";
import { fail, failed, type Tx } from "../tx.js";
import { checkNode } from "./fence.js";

/** Lets a file server at a key only while it owns it, under the present epoch. */
export function keyFence(
  tx: Tx,
  key: string,
  node: string,
  incarnation: number,
  epoch: number,
): { readonly row: KeyRow } | (v1.ICommandResult & { readonly error: v1.IErrorDetail }) {
  const row = tx.store.keys.byName.get(key);
  if (row === undefined) return refusal(fail(ErrorCode.UNKNOWN_KEY, `no resume key "${key}" is known`));
  const extras = { owner: tx.store.address(row.owner), epoch: row.epoch };
  if (row.epoch !== epoch)
    return refusal(
      fail(
        ErrorCode.STALE_EPOCH,
        `resume key "${key}" is at epoch ${row.epoch}, the call has ${epoch}`,
        extras,
      ),
    );
  if (row.owner !== node || row.ownerIncarnation !== incarnation)
    return refusal(
      fail(
        ErrorCode.NOT_OWNER,
        `resume key "${key}" is owned by ${row.owner}/${row.ownerIncarnation}`,
        extras,
      ),
    );
  // Declared down without an heir it still owns the key, and may not touch it: another may claim it at any moment.
  const down = checkNode(tx, node, incarnation);
  if (down !== null) return refusal(failed(down));
  return { row };
}

function refusal(result: v1.ICommandResult): v1.ICommandResult & { readonly error: v1.IErrorDetail } {
  return result as v1.ICommandResult & { readonly error: v1.IErrorDetail };
}
