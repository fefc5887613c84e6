import type { CoordinatorClient, CoordinatorEvents } from "../coordinator/api.js";
import { answerQuery } from "../coordinator/state-queries.js";
import type { StateMachine } from "../state/index.js";
import { v1 } from "../wire/index.js";

/** Where a local coordinator keeps what it has executed. */
export interface LocalJournal {
  /** Durable before it returns. */
  append(record: Uint8Array): void;
}

/**
 * A coordinator of one member in this process: the real state machine without consensus. For tests of file nodes, and
 * for whoever wants to try the state by hand. Commands pass through their wire form, as they do in the log.
 */
export class LocalCoordinator {
  private readonly watches = new Set<{ readonly node: string; readonly events: CoordinatorEvents }>();
  private index = 0;
  private clusterTimeMs = 1_000;
  /** While set, answers of commands are withheld: they have been executed, but nobody hears of it. */
  muted = false;

  constructor(
    readonly state: StateMachine,
    private readonly journal: LocalJournal = { append: () => {} },
  ) {}

  get revision(): number {
    return this.index;
  }

  /** Executes a command at once; its events go out before the answer is returned. */
  apply(command: v1.ICommand): v1.ICommandResult {
    const bytes = v1.Command.encode(command).finish();
    this.journal.append(v1.LogRecord.encode({ clusterTimeMs: this.clusterTimeMs, command: bytes }).finish());
    return this.run(bytes);
  }

  /** Executes what a journal holds, without events. */
  replay(record: Uint8Array): void {
    const { clusterTimeMs, command } = v1.LogRecord.decode(record);
    this.clusterTimeMs = Math.max(this.clusterTimeMs, clusterTimeMs);
    this.run(command);
  }

  /** Lets cluster time pass and executes what it makes due. */
  advance(ms: number): void {
    this.clusterTimeMs += ms;
    for (let due = this.due(); due.length > 0; due = this.due())
      for (const command of due) this.apply(command);
  }

  /** Tells everybody who watches to load anew, as a member does that caught up by a snapshot. */
  resync(): void {
    for (const { events } of this.watches) events.onResync(this.index);
  }

  /** This coordinator as a file node sees it. Answers come in a later turn, as over any link. */
  client(): CoordinatorClient {
    return {
      execute: async (command) => {
        const result = this.apply(command);
        await Promise.resolve();
        return this.muted ? new Promise<v1.ICommandResult>(() => {}) : result;
      },
      query: async (query) => {
        await Promise.resolve();
        return this.answer(query);
      },
      watch: (node, events) => {
        const watch = { node, events };
        this.watches.add(watch);
        return () => this.watches.delete(watch);
      },
    };
  }

  private due(): v1.ICommand[] {
    return this.state.due(this.clusterTimeMs, 100);
  }

  private run(bytes: Uint8Array): v1.ICommandResult {
    this.index += 1;
    const { result, events } = this.state.apply(v1.Command.decode(bytes), {
      index: this.index,
      clusterTimeMs: this.clusterTimeMs,
    });
    this.state.takeDirty();
    const copy = v1.CommandResult.decode(v1.CommandResult.encode(result).finish());
    for (const watch of [...this.watches]) {
      const mine = events.filter((event) => !event.node || event.node === watch.node);
      if (mine.length > 0)
        watch.events.onEvents(mine.map((event) => v1.Event.decode(v1.Event.encode(event).finish())));
    }
    return copy;
  }

  private answer(query: v1.IStateQuery): v1.IStateAnswer {
    return v1.StateAnswer.decode(v1.StateAnswer.encode(answerQuery(query, this.state, this.index)).finish());
  }
}
