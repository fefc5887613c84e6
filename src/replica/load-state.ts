import type { Scheduler } from "../runtime/api.js";
import type { StateMachine } from "../state/index.js";
import { REBUILD_FROM_PEERS, storageFailed } from "../storage/errors.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { ReplicaStorage } from "./storage.js";

/** Links between records that are made between two looks at the loop: a millisecond or two. */
const FINISH_STEPS = 5_000;

/**
 * Builds a state machine from what lies on disk, in slices, so that the loop goes on meanwhile. What contradicts itself is
 * damage, for which an operator has to be told what to do: as a crash it would come again at every start.
 */
export async function loadState(
  storage: ReplicaStorage,
  createStateMachine: () => StateMachine,
  scheduler: Scheduler,
): Promise<StateMachine> {
  try {
    return await loaded(storage, createStateMachine, scheduler);
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError) || thrown.code !== ErrorCode.STORAGE_FAILED || thrown.extras.next)
      throw thrown;
    throw storageFailed(thrown.message, REBUILD_FROM_PEERS, thrown);
  }
}

async function loaded(
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
