import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { MemberRow, memberRecord } from "../tables/records.js";
import { fail, type Tx } from "../tx.js";
import { labelProblem } from "../validate.js";

/** Records what a consensus member is called and where it is, or that it has left. */
export function setMember(tx: Tx, command: v1.ISetMember): v1.ICommandResult {
  const given = command.member ?? {};
  const id = given.raftId ?? 0;
  if (id === 0) return fail(ErrorCode.INVALID_ARGUMENT, "a member needs a consensus id above zero");
  const { members } = tx.store;
  const there = members.get(id);
  if (command.removed) {
    if (there === undefined) return fail(ErrorCode.UNKNOWN_MEMBER, `no member has the consensus id ${id}`);
    members.delete(id);
    tx.store.drop(there);
    tx.emit(EventKind.member, "", `member ${there.r.name} (${id}) removed`);
    return {};
  }
  const problem = labelProblem("member name", given.name);
  if (problem !== null) return problem;
  if (there !== undefined) {
    Object.assign(there.r, memberRecord(given));
    tx.store.touch(there);
  } else {
    const row = new MemberRow(memberRecord(given));
    members.set(id, row);
    tx.store.touch(row);
  }
  tx.emit(EventKind.member, "", `member ${given.name} (${id})${given.learner ? ", learner" : ""}`);
  return {};
}
