import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { dropEffect } from "../mechanics/effect-rows.js";
import { fail, type Tx } from "../tx.js";

/** Nobody took over an orphaned key in time. Names epoch and deadline: a claim that was committed first wins. */
export function expireKey(tx: Tx, command: v1.IExpireKey): v1.ICommandResult {
  const row = tx.store.keys.byName.get(command.key ?? "");
  if (row === undefined) return fail(ErrorCode.UNKNOWN_KEY, `no resume key "${command.key ?? ""}" is known`);
  const same = row.epoch === (command.epoch ?? 0) && row.deadlineMs === (command.deadlineMs ?? 0);
  if (!same || row.deadlineMs === 0 || tx.nowMs < row.deadlineMs)
    return fail(ErrorCode.NO_CHANGE, `resume key "${row.key}" was claimed, or is not due yet`);
  for (const effect of tx.store.effects.ofKey(row.key)) dropEffect(tx, effect);
  tx.store.keys.remove(row);
  tx.store.drop(row);
  tx.emit(EventKind.keyExpired, "", `key ${row.key} expired; ${row.owner} is gone`);
  return {};
}
