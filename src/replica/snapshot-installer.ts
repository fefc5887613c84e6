import type { Index } from "../raft/index.js";
import type { Scheduler } from "../runtime/api.js";
import type { StateMachine } from "../state/index.js";
import { loadState } from "./load-state.js";
import type { StagedSnapshot } from "./snapshot-receiver.js";
import type { ReplicaStorage } from "./storage.js";

/** What the installer needs of its replica. */
export interface InstallHost {
  readonly storage: ReplicaStorage;
  readonly scheduler: Scheduler;
  createStateMachine(): StateMachine;
  /** The state was loaded: to be used from now on. */
  use(machine: StateMachine, snapshot: StagedSnapshot): void;
  stopped(): boolean;
  fail(error: Error): void;
}

/** Follows received snapshots from the core's word to the state in use. The latest one wins. */
export class SnapshotInstaller {
  /** Complete on disk, waiting for the core. */
  private readonly arrived: StagedSnapshot[] = [];
  /** Accepted, by the number of the batch that installs them. */
  private readonly accepted = new Map<number, StagedSnapshot>();
  private count = 0;

  constructor(private readonly host: InstallHost) {}

  offer(snapshot: StagedSnapshot): void {
    this.arrived.push(snapshot);
  }

  /** The core did not want it: an older one, or what it brings is here already. Nothing if it was accepted. */
  withdraw(snapshot: StagedSnapshot): void {
    const at = this.arrived.indexOf(snapshot);
    if (at < 0) return;
    this.arrived.splice(at, 1);
    snapshot.settle(false);
  }

  /** The core's batch `seq` installs the snapshot at `index`. */
  accept(index: Index, seq: number): void {
    const at = this.arrived.findIndex((snapshot) => snapshot.meta.index === index);
    const snapshot = this.arrived[at];
    if (snapshot === undefined)
      throw new Error(`invariant: the core accepts only snapshots whose data has arrived, not ${index}`);
    this.arrived.splice(at, 1);
    this.accepted.set(seq, snapshot);
    this.count++;
  }

  /** Batch `seq` is durable: if it installed a snapshot, its state is loaded now. */
  durable(seq: number): void {
    const snapshot = this.accepted.get(seq);
    if (snapshot === undefined) return;
    this.accepted.delete(seq);
    const install = this.count;
    const { host } = this;
    loadState(host.storage, () => host.createStateMachine(), host.scheduler).then(
      (machine) => {
        if (install === this.count && !host.stopped()) host.use(machine, snapshot);
        else snapshot.settle(true);
      },
      (error: unknown) => host.fail(error instanceof Error ? error : new Error(String(error))),
    );
  }
}
