import type { Scheduler } from "../runtime/api.js";
import type { StateMachine } from "../state/index.js";
import type { ReplicaStorage } from "./storage.js";

/** Links between records that are made between two looks at the loop: a millisecond or two. */
const FINISH_STEPS = 5_000;

/** Builds a state machine from what lies on disk, in slices, so that the loop goes on meanwhile. */
export async function loadState(
  storage: ReplicaStorage,
  createStateMachine: () => StateMachine,
  scheduler: Scheduler,
): Promise<StateMachine> {
  const machine = createStateMachine();
  for await (const records of storage.stateRecords()) {
    machine.load(records);
    await new Promise<void>((resume) => scheduler.soon(resume));
  }
  while (!machine.finishLoad(FINISH_STEPS)) await new Promise<void>((resume) => scheduler.soon(resume));
  return machine;
}
