import { type SequenceAge, sequenceAge } from "../rules/channel-sequence.js";
import type { HandleRow } from "../tables/handles.js";
import type { Tx } from "../tx.js";

/** Takes a request's channel sequence in: a newer one becomes the handle's (semantics.md B4). */
export function advanceSequence(tx: Tx, handle: HandleRow, sequence: number): SequenceAge {
  const age = sequenceAge(handle.channelSequence, sequence & 0xffff);
  if (age === "newer") {
    handle.channelSequence = sequence & 0xffff;
    tx.touchHandle(handle);
  }
  return age;
}

/** Whoever uses a handle has seen the answer of its create. */
export function markUsed(tx: Tx, handle: HandleRow): void {
  if (!handle.replayEligible) return;
  handle.replayEligible = false;
  tx.touchHandle(handle);
}
