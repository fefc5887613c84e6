import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { ErrorCode, errorDetail } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";

/** A coordinator that a node's commands of one kind reach late, in their order. */
export class HeldCommands {
  #holding = false;
  readonly #held: ((fails: boolean) => void)[] = [];
  readonly coordinator: CoordinatorClient;

  constructor(inner: CoordinatorClient, kind: keyof v1.ICommand) {
    this.coordinator = {
      execute: async (command, deadlineMs) => {
        if (command[kind] && this.#holding) {
          const fails = await new Promise<boolean>((resolve) => void this.#held.push(resolve));
          if (fails) return { error: errorDetail(ErrorCode.NO_QUORUM, "the log did not take it") };
        }
        return inner.execute(command, deadlineMs);
      },
      query: (query, deadlineMs) => inner.query(query, deadlineMs),
      watch: (node, listener) => inner.watch(node, listener),
    };
  }

  /** Holds them back until what it answers is called. */
  hold(): () => void {
    this.#holding = true;
    return () => {
      this.#holding = false;
      for (const release of this.#held.splice(0)) release(false);
    };
  }

  /** The first of those that are held never reaches the log. */
  failNext(): void {
    this.#held.shift()?.(true);
  }
}
