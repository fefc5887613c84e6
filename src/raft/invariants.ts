import type { Core } from "./core.js";
import { broken } from "./invariant.js";

/**
 * The cheap invariants of raft.md 2.13, checked after every call. What a function relies on is asserted there; here is
 * what must hold between calls: 2, 3, 11, 12, 15 and 17, and that the boundaries of the log are in order.
 */
export function checkInvariants(core: Core): void {
  const { log } = core;
  if (log.committed > log.last) broken("commit within the log", log.committed, log.last);
  if (log.committed < log.base) broken("commit at or above the compaction boundary", log.committed, log.base);
  if (log.applied > log.applying) broken("applied is what was handed out", log.applied, log.applying);
  if (log.applying > log.committed) broken("handed out is committed", log.applying, log.committed);
  if (log.durable > log.handed) broken("durable was handed to the disk", log.durable, log.handed);
  if (log.handed > log.last) broken("handed to the disk is in the log", log.handed, log.last);
  const { handedHardState } = core;
  if (core.term < handedHardState.term) broken("term never falls", core.term, handedHardState.term);
  if (log.committed < handedHardState.commit)
    broken("commit never falls", log.committed, handedHardState.commit);
  if (
    core.term === handedHardState.term &&
    handedHardState.vote !== 0 &&
    core.vote !== handedHardState.vote
  ) {
    broken("one vote in a term", core.vote, handedHardState.vote);
  }
  if (log.applying > log.durable && !core.mode.applyUndurable) {
    broken("handed out for application is on the own disk", log.applying, log.durable);
  }
  const transfer = core.lead === null ? null : core.lead.transfer;
  if (transfer !== null && transfer.term !== core.term) {
    broken("a transfer dies with its leadership", transfer.term, core.term);
  }
  if ((core.lead !== null) !== (core.role === "leader"))
    broken("leader state exactly while leader", core.role, core.term);
}
