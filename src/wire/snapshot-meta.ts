import type { v1 } from "./index.js";

/** Where a state stands in the log, and the configuration there: of a snapshot, and of the state on a member's disk. */
export interface SnapshotPosition {
  readonly index: number;
  readonly term: number;
  readonly confState: {
    readonly voters: readonly number[];
    readonly votersOutgoing: readonly number[];
    readonly learners: readonly number[];
    readonly learnersNext: readonly number[];
    readonly autoLeave: boolean;
  };
  /** Index of the entry that introduced `confState`; absent: not known. */
  readonly confIndex?: number;
}

/** The generated form of a position; shares nothing with it. */
export function toSnapshotMeta(position: SnapshotPosition): v1.ISnapshotMeta {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = position.confState;
  return {
    index: position.index,
    term: position.term,
    confIndex: position.confIndex ?? 0,
    confState: {
      voters: [...voters],
      votersOutgoing: [...votersOutgoing],
      learners: [...learners],
      learnersNext: [...learnersNext],
      autoLeave,
    },
  };
}

/** The position behind its generated form; what is absent there is zero, empty or false. */
export function fromSnapshotMeta(meta: v1.ISnapshotMeta): SnapshotPosition {
  const conf = meta.confState;
  return {
    index: meta.index ?? 0,
    term: meta.term ?? 0,
    confIndex: meta.confIndex ?? 0,
    confState: {
      voters: conf?.voters ?? [],
      votersOutgoing: conf?.votersOutgoing ?? [],
      learners: conf?.learners ?? [],
      learnersNext: conf?.learnersNext ?? [],
      autoLeave: conf?.autoLeave ?? false,
    },
  };
}
