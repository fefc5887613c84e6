import type { v1 } from "../wire/index.js";
import type { Applied, ApplyContext, DirtyRecord, StateMachine } from "./api.js";
import { dispatch } from "./dispatch.js";
import { dueCommands } from "./due.js";
import { Loader } from "./loading.js";
import { Store } from "./store.js";
import { View } from "./view.js";
import { Tx } from "./tx.js";

class Machine extends View implements StateMachine {
  #loader: Loader | null = null;

  constructor() {
    super(new Store());
  }

  apply(command: v1.ICommand, context: ApplyContext): Applied {
    const { store } = this;
    const cluster = store.cluster;
    // Cluster time never goes back, whatever the leader's clock does.
    if (context.clusterTimeMs > cluster.r.clusterTimeMs) cluster.r.clusterTimeMs = context.clusterTimeMs;
    store.touch(cluster);
    const tx = new Tx(store, context.index, cluster.r.clusterTimeMs);
    const result = dispatch(tx, command);
    result.revision ??= context.index;
    return { result, events: tx.events };
  }

  takeDirty(): DirtyRecord[] {
    return this.store.journal.take();
  }

  load(records: Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>): void {
    if (this.#loader === null) {
      this.store = new Store();
      this.#loader = new Loader(this.store);
    }
    for (const record of records) this.#loader.take(record);
  }

  finishLoad(stepsMax = Number.POSITIVE_INFINITY): boolean {
    if (this.#loader !== null && !this.#loader.finish(stepsMax)) return false;
    this.#loader = null;
    return true;
  }

  digest(): number {
    return this.store.journal.digest();
  }

  due(clusterTimeMs: number, limit: number): v1.ICommand[] {
    return dueCommands(this.store, clusterTimeMs, limit);
  }

  nextDueMs(): number {
    return this.store.takeovers.size > 0 ? 0 : this.store.deadlines.earliestMs();
  }
}

/** A state machine without any state: what a cluster has before its first command. */
export function createStateMachine(): StateMachine {
  return new Machine();
}
