import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** A smaller heap is marked within what nobody notices, and has nothing to gain. */
const WORTH_BYTES = 256 * 1024 * 1024;

/**
 * Collects the whole heap at once, if it is large; true: it did. For the moment between loading a state and taking part, when
 * nobody waits: 0.3 s with a million handles. Without it the engine marks that heap for the first time when the buffers of
 * some later work add up to 64 MB, typically those of a snapshot for a peer or of a takeover: 0.3 s of steps of which one
 * held a leader for 120 ms, and 87 ms at the end.
 */
export function collectLargeHeap(worthBytes = WORTH_BYTES): boolean {
  if (getHeapStatistics().used_heap_size < worthBytes) return false;
  // The engine has no other door to its collector for a process that was started without the flag.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  collect();
  return true;
}
