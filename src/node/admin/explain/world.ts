import type { StateView } from "../../../state/index.js";
import type { v1 } from "../../../wire/index.js";

/** Everything that an explanation is made of: a picture of one moment, so that explaining is a pure function. */
export interface ExplainWorld {
  readonly state: StateView;
  /** Events that this node has kept, oldest first. They begin at its start or at its latest snapshot. */
  readonly events: readonly v1.IEvent[];
  /** Cluster time in ms. */
  readonly nowMs: number;
  readonly leadership: LeadershipView;
}

/** Who leads the consensus group, as one member sees it. */
export interface LeadershipView {
  /** The member whose view this is. */
  readonly self: number;
  /** Zero when none is known. */
  readonly leaderId: number;
  readonly term: number;
  /** At the leader: it has committed an entry of its own term. True elsewhere. */
  readonly ready: boolean;
  /** What keeps this member from working as it should, as `status` shows it; empty when nothing does. */
  readonly problems: readonly string[];
  readonly voters: readonly number[];
  readonly learners: readonly number[];
  /** Why this member last took part in an election. */
  readonly cause: string;
  /** What this member saw of elections and was asked for, oldest first. */
  readonly notes: readonly LeaderNote[];
}

/** One change of leadership, or one request for it. */
export interface LeaderNote {
  /** Index that was applied when it happened. */
  readonly revision: number;
  readonly clusterTimeMs: number;
  readonly text: string;
}

/** One link of a chain; revision and cluster time are zero where none is known. */
export interface Step {
  readonly revision: number;
  readonly clusterTimeMs: number;
  readonly text: string;
}
