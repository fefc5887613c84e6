import type { SequentialModel } from "./history.js";

/** A register that answers what it held before. Serials are unique; 0 means never written. */
export type RegisterInput = { readonly write: number } | { readonly read: true };

/** What a register answers: the value that a write replaced, or that a read saw. */
export interface RegisterOutput {
  readonly previous: number;
}

/** A register whose every operation answers what stood there before. */
export const registerModel: SequentialModel<number, RegisterInput, RegisterOutput> = {
  initial: 0,
  step(state, input, output) {
    if (output !== null && output.previous !== state) return null;
    return "write" in input ? input.write : state;
  },
  key: String,
};
