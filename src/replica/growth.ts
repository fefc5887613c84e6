import { v1 } from "../wire/index.js";
import { commandKind } from "./log-record.js";

/**
 * Commands that make the state larger, by field number in `v1.Command`: refused while the leader's disk is nearly full.
 * Closing, renewing, expiring, taking over and finishing what was begun always go on (field-notes 3.5, lesson of #3068).
 */
const GROWTH = new Set([
  8, // DefineShare
  20, // OpenSession
  30, // OpenHandle
  41, // BeginEffect
  44, // SetBlob
  60, // ClaimKey
  61, // StoreKey
  80, // BeginOperation
]);
const LOCK = 36;
const BATCH = 100;

/**
 * True for an encoded command that needs more space than it frees. Locking and unlocking are one kind of command; and a
 * batch grows when one of its commands does: resuming a session with its handles, and the expiries of a moment, are
 * batches too, and have to work on a full disk. Those are decoded, which costs nothing where it matters: only a node
 * whose disk is nearly full asks.
 */
export function growsState(command: Uint8Array): boolean {
  const kind = commandKind(command);
  if (kind !== LOCK && kind !== BATCH) return GROWTH.has(kind);
  try {
    const { lock, batch } = v1.Command.decode(command);
    if (batch) return (batch.commands ?? []).some((each) => growsState(v1.Command.encode(each).finish()));
    return (lock?.elements ?? []).some((element) => !element.unlock);
  } catch {
    // Not a command that can be read: refusing it later is the state machine's part.
    return true;
  }
}
