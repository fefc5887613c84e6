import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import type { KeyRow } from "../tables/resume-keys.js";
import { fail, type Tx } from "../tx.js";

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
  return { row };
}

function refusal(result: v1.ICommandResult): v1.ICommandResult & { readonly error: v1.IErrorDetail } {
  return result as v1.ICommandResult & { readonly error: v1.IErrorDetail };
}
