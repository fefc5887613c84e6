/**
 * Channel sequence fencing (semantics.md B4). The sequence is replicated with the handle; the counters are the serving
 * node's own and start at zero after a change of owner, because no request survives one.
 */
export interface ChannelCounters {
  sequence: number;
  /** Requests under way at `sequence`. */
  outstanding: number;
  /** Requests under way from before it. */
  older: number;
}

/** Where a request's sequence stands, modulo 2^16, seen from the handle's. */
export type SequenceAge = "same" | "newer" | "stale";

/** Age of a request's sequence. */
export function sequenceAge(handle: number, request: number): SequenceAge {
  const distance = (request - handle) & 0xffff;
  if (distance === 0) return "same";
  return distance <= 0x7fff ? "newer" : "stale";
}

/** "run": goes on. "refuse": FILE_NOT_AVAILABLE. */
export type Admission = "run" | "refuse";

interface Cell {
  readonly advance: boolean;
  readonly admit: "always" | "reads-only" | "if-no-older";
}

/** Age by replay flag. A missing cell does not compile. */
const CELLS: Record<SequenceAge, Record<"plain" | "replay", Cell>> = {
  same: {
    plain: { advance: false, admit: "always" },
    replay: { advance: false, admit: "if-no-older" },
  },
  newer: {
    plain: { advance: true, admit: "always" },
    replay: { advance: true, admit: "if-no-older" },
  },
  stale: {
    plain: { advance: false, admit: "reads-only" },
    replay: { advance: false, admit: "reads-only" },
  },
};

/** What the request was counted as, to be given back to `requestDone`. */
export type CountedAs = "outstanding" | "older" | "nothing";

/**
 * Takes a request in. `modifies`: write, set-info and ioctl; others are never refused. The strict rule: a replay is
 * admitted only when nothing from before it is still running.
 */
export function admitRequest(
  counters: ChannelCounters,
  request: { readonly sequence: number; readonly replay: boolean; readonly modifies: boolean },
): { readonly admission: Admission; readonly counted: CountedAs } {
  const age = sequenceAge(counters.sequence, request.sequence);
  const cell = CELLS[age][request.replay ? "replay" : "plain"];
  if (cell.advance) {
    counters.older += counters.outstanding;
    counters.outstanding = 0;
    counters.sequence = request.sequence & 0xffff;
  }
  const refused =
    request.modifies && (cell.admit === "reads-only" || (cell.admit === "if-no-older" && counters.older > 0));
  if (refused) return { admission: "refuse", counted: "nothing" };
  if (age === "stale") {
    counters.older++;
    return { admission: "run", counted: "older" };
  }
  counters.outstanding++;
  return { admission: "run", counted: "outstanding" };
}

/**
 * A request has ended. `sequence` is the handle's sequence when it was taken in (with the node's generation of it, so
 * that a wrap of the 16 bits while a long request runs does not confuse the counters).
 */
export function requestDone(counters: ChannelCounters, counted: CountedAs, sameGeneration: boolean): void {
  if (counted === "nothing") return;
  if (counted === "outstanding" && sameGeneration)
    counters.outstanding = Math.max(0, counters.outstanding - 1);
  else counters.older = Math.max(0, counters.older - 1);
}
