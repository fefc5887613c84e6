import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { EventKind } from "../events.js";
import { own, utf8Length } from "../ids.js";
import { checkNode } from "../mechanics/fence.js";
import { tellOwner } from "../mechanics/closing.js";
import { KeyRow } from "../tables/resume-keys.js";
import { fail, failed, type Tx } from "../tx.js";
import { bytesProblem, type Problem } from "../validate.js";

/**
 * A file server takes a resume key: a new one, one whose owner is dead, or, naming its epoch, one that its owner gives up.
 * A key that exists keeps its state: the new owner reads it in the answer.
 */
export function claimKey(tx: Tx, command: v1.IClaimKey): v1.ICommandResult {
  const node = command.node ?? "";
  const incarnation = command.nodeIncarnation ?? 0;
  const refused = checkNode(tx, node, incarnation);
  if (refused !== null) return failed(refused);
  const key = command.key ?? "";
  const problem = keyProblem(key) ?? bytesProblem("state", command.state, limits.keyStateBytesMax);
  if (problem !== null) return problem;
  const row = tx.store.keys.byName.get(key);
  if (row === undefined) return create(tx, command, key);
  if (row.owner === node && row.ownerIncarnation === incarnation)
    return { key: row.toRecord(), repeated: true };
  const owner = tx.store.nodes.get(row.owner);
  const orphaned = !owner?.up || owner.r.incarnation !== row.ownerIncarnation;
  const expected = command.expectEpoch ?? 0;
  const allowed = expected === 0 ? orphaned : expected === row.epoch;
  if (!allowed)
    return fail(
      expected === 0 ? ErrorCode.NOT_OWNER : ErrorCode.STALE_EPOCH,
      `resume key "${key}" is owned by ${row.owner} at epoch ${row.epoch}`,
      { owner: tx.store.address(row.owner), epoch: row.epoch },
    );
  return take(tx, row, node, incarnation);
}

/** A key is a name of limited length without control characters. */
function keyProblem(key: string): Problem {
  if (key === "") return fail(ErrorCode.INVALID_ARGUMENT, "the resume key is empty");
  if (key.length > limits.keyBytesMax || utf8Length(key) > limits.keyBytesMax)
    return fail(ErrorCode.LIMIT_EXCEEDED, `the resume key is longer than ${limits.keyBytesMax} bytes`);
  return null;
}

function create(tx: Tx, command: v1.IClaimKey, key: string): v1.ICommandResult {
  if (command.expectEpoch) return fail(ErrorCode.UNKNOWN_KEY, `no resume key "${key}" is known`);
  if (tx.store.keys.byName.size >= limits.keysMax)
    return fail(
      ErrorCode.LIMIT_EXCEEDED,
      `the cluster has ${limits.keysMax} resume keys, which is the limit`,
    );
  const row = new KeyRow(key, own(command.state));
  row.owner = command.node ?? "";
  row.ownerIncarnation = command.nodeIncarnation ?? 0;
  row.epoch = 1;
  row.version = 1;
  row.timeoutMs = command.timeoutMs ?? 0;
  row.changedRevision = tx.revision;
  tx.store.keys.add(row);
  tx.store.touch(row);
  tx.emit(EventKind.keyClaimed, "", `key ${key} claimed by ${row.owner}`);
  return { key: row.toRecord() };
}

function take(tx: Tx, row: KeyRow, node: string, incarnation: number): v1.ICommandResult {
  const from = row.owner;
  tx.store.keys.setOwner(row, node, incarnation);
  row.epoch++;
  row.deadlineMs = 0;
  row.changedRevision = tx.revision;
  tx.store.touch(row);
  for (const effect of tx.store.effects.ofKey(row.key)) {
    tx.store.effects.setOwner(effect, node, incarnation);
    effect.r.handedOver++;
    tx.store.touch(effect);
    tellOwner(tx, effect);
  }
  tx.emit(EventKind.keyMoved, from, `key ${row.key} moved from ${from} to ${node}`, { key: row.toRecord() });
  return { key: row.toRecord() };
}
