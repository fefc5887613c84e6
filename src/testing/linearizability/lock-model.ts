import type { SequentialModel } from "./history.js";

/** A lock that one holder has at a time. */
export type LockInput = { readonly acquire: string } | { readonly release: string };

/** Whether it was granted, or was held by the one who released it. */
export interface LockOutput {
  readonly done: boolean;
}

/** The state is the holder's name, empty while nobody holds it. */
export const lockModel: SequentialModel<string, LockInput, LockOutput> = {
  initial: "",
  step(state, input, output) {
    if ("acquire" in input) {
      const done = state === "" || state === input.acquire;
      if (output !== null && output.done !== done) return null;
      return done ? input.acquire : state;
    }
    const done = state === input.release;
    if (output !== null && output.done !== done) return null;
    return done ? "" : state;
  },
  key: (state) => state,
};
