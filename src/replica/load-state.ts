import type { Scheduler } from "../runtime/api.js";
import type { StateMachine } from "../state/index.js";
import type { ReplicaStorage } from "./storage.js";

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
  machine.finishLoad();
  return machine;
}
