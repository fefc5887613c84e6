import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { ErrorCode, errorDetail } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";

/** A coordinator that a node's commands of one kind reach late, in their order, or that answers them late. */
export class HeldCommands {
  #holding = false;
  #answers: Promise<void> | null = null;
  readonly #held: ((fails: boolean) => void)[] = [];
  readonly coordinator: CoordinatorClient;

  constructor(inner: CoordinatorClient, kind: keyof v1.ICommand) {
    this.coordinator = {
      execute: async (command, deadlineMs) => {
        if (command[kind] && this.#holding) {
          const fails = await new Promise<boolean>((resolve) => void this.#held.push(resolve));
          if (fails) return { error: errorDetail(ErrorCode.NO_QUORUM, "the log did not take it") };
        }
        const result = await inner.execute(command, deadlineMs);
        if (command[kind]) await this.#answers;
        return result;
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

  /** Holds back what it answers until what this answers is called. */
  holdAnswers(): () => void {
    let go: () => void = () => {};
    this.#answers = new Promise((resolve) => (go = resolve));
    return () => {
      this.#answers = null;
      go();
    };
  }

  /** The first of those that are held never reaches the log. */
  failNext(): void {
    this.#held.shift()?.(true);
  }
}
