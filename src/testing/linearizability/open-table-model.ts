import type { SequentialModel } from "./history.js";

/** Groups of rights, as bits of `OpenMode` (semantics.md F1). */
export const OpenRight = { read: 1, write: 2, delete: 4 } as const;

/** What an open wants of a file, and what it lets others want beside it: bits of `OpenRight`. */
export interface OpenMode {
  readonly access: number;
  readonly share: number;
}

/** What was asked about one file. A holder is one open; its name is never used again. */
export type OpenTableInput =
  | { readonly file: string; readonly open: OpenMode; readonly holder: string }
  | { readonly file: string; readonly end: true; readonly holder: string };

/** Whether the file was opened, or was refused by a share mode. Ends are answered with true. */
export interface OpenTableOutput {
  readonly done: boolean;
}

interface Held extends OpenMode {
  readonly holder: string;
}

/**
 * The opens of one file, one request after the other: an open is granted exactly when no other one excludes it, whichever
 * of the two does the excluding. The end of an open that is not there (any more) is nothing; where nobody knows whether it
 * happened there is no use in trying that, which keeps the search short.
 */
export const openTableModel: SequentialModel<readonly Held[], OpenTableInput, OpenTableOutput> = {
  initial: [],
  step(state, input, output) {
    if ("end" in input) {
      const after = state.filter(({ holder }) => holder !== input.holder);
      return output === null && after.length === state.length ? null : after;
    }
    const free = !state.some((held) => exclude(held, input.open));
    if (output === null) return free ? [...state, { ...input.open, holder: input.holder }] : null;
    if (output.done !== free) return null;
    return free ? [...state, { ...input.open, holder: input.holder }] : state;
  },
  key: (state) =>
    state
      .map(({ holder, access, share }) => `${holder}:${access}/${share}`)
      .sort()
      .join(" "),
};

/** True when the two opens cannot stand beside each other. */
export function exclude(one: OpenMode, other: OpenMode): boolean {
  if (one.access === 0 || other.access === 0) return false;
  return ((one.access & ~other.share) | (other.access & ~one.share)) !== 0;
}
