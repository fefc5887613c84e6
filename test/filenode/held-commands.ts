import type { CoordinatorClient } from "../../src/coordinator/api.js";
import type { v1 } from "../../src/wire/index.js";

/** A coordinator that a node's commands of one kind reach late. */
export class HeldCommands {
  #until: Promise<void> | null = null;
  readonly coordinator: CoordinatorClient;

  constructor(inner: CoordinatorClient, kind: keyof v1.ICommand) {
    this.coordinator = {
      execute: async (command, deadlineMs) => {
        if (command[kind]) await this.#until;
        return inner.execute(command, deadlineMs);
      },
      query: (query, deadlineMs) => inner.query(query, deadlineMs),
      watch: (node, listener) => inner.watch(node, listener),
    };
  }

  /** Holds them back until what it answers is called. */
  hold(): () => void {
    let go: () => void = () => {};
    this.#until = new Promise((resolve) => (go = resolve));
    return () => {
      this.#until = null;
      go();
    };
  }
}
