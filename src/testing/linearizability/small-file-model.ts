import type { SequentialModel } from "./history.js";

/** What was asked of one small file. Data is a letter, `length` times; no two calls have the same one. */
export type FileInput =
  | { readonly append: string; readonly length: number }
  | { readonly write: string; readonly length: number; readonly offset: number }
  | { readonly size: number }
  | { readonly content: true };

/** Where an append was put; what a reader of the whole file found. Writes and cuts answer with neither. */
export interface FileOutput {
  readonly offset?: number;
  readonly content?: string;
}

/** A place that nobody has written. */
export const HOLE = "\0";

/** The content of a file, one request after the other: an append goes where the file ends at that moment. */
export const smallFileModel: SequentialModel<string, FileInput, FileOutput> = {
  initial: "",
  step(state, input, output) {
    if ("content" in input) return output === null || output.content === state ? state : null;
    if ("size" in input) return state.slice(0, input.size).padEnd(input.size, HOLE);
    if ("append" in input) {
      if (output !== null && output.offset !== state.length) return null;
      return state + input.append.repeat(input.length);
    }
    const { write, length, offset } = input;
    return state.slice(0, offset).padEnd(offset, HOLE) + write.repeat(length) + state.slice(offset + length);
  },
  key: (state) => state,
};
