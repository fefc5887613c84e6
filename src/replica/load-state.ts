import type { SnapshotMeta } from "../raft/index.js";
import type { Scheduler } from "../runtime/api.js";
import type { StateMachine } from "../state/index.js";
import type { NodeStorage } from "../storage/api.js";

/** Records loaded between two looks at the rest of the world. */
const LOAD_RECORDS = 2_000;
const LOAD_BYTES = 1024 * 1024;

/** Builds a state machine from what lies on disk, in slices, so that the loop goes on meanwhile. */
export async function loadState(
  storage: NodeStorage,
  createStateMachine: () => StateMachine,
  scheduler: Scheduler,
): Promise<{ readonly machine: StateMachine; readonly meta: SnapshotMeta }> {
  const machine = createStateMachine();
  const reader = await storage.openState();
  try {
    for (;;) {
      const records = await reader.next(LOAD_RECORDS, LOAD_BYTES);
      if (records.length === 0) break;
      machine.load(records);
      await new Promise<void>((resume) => scheduler.soon(resume));
    }
  } finally {
    await reader.close();
  }
  machine.finishLoad();
  return { machine, meta: reader.meta };
}
