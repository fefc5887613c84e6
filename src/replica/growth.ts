/**
 * Commands that make the state larger, by field number in `v1.Command`: refused while the leader's disk is nearly full.
 * Closing, renewing, expiring, taking over and finishing what was begun always go on (field-notes 3.5, lesson of #3068).
 */
const GROWTH = new Set([
  8, // DefineShare
  20, // OpenSession
  30, // OpenHandle
  36, // Lock
  41, // BeginEffect
  44, // SetBlob
  60, // ClaimKey
  61, // StoreKey
  80, // BeginOperation
  100, // Batch
]);

/** True for a kind of command that needs more space than it frees. */
export function growsState(kind: number): boolean {
  return GROWTH.has(kind);
}
