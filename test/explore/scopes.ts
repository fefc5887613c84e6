import { ConfTransition, parseChanges } from "../../src/raft/index.js";
import type { Scope } from "./search.js";

const SMALL: Scope = {
  name: "",
  nodes: 3,
  voters: [1, 2, 3],
  termMax: 3,
  proposals: 0,
  crashes: 0,
  duplicates: 0,
  heartbeats: 0,
  change: null,
  confChanges: 0,
  preVote: false,
  smallAppends: false,
  slowDisks: false,
};

/** From small to large: what each adds, the others leave out. */
export const SCOPES: readonly Scope[] = [
  {
    ...SMALL,
    name: "elections: 3 nodes, 2 terms, a crash, a duplicate",
    slowDisks: true,
    crashes: 1,
    duplicates: 1,
  },
  {
    ...SMALL,
    name: "replication: 3 nodes, 1 term, 2 entries, a duplicate",
    termMax: 2,
    proposals: 2,
    duplicates: 1,
  },
  { ...SMALL, name: "pre-vote: 3 nodes, 1 term, a crash", termMax: 2, preVote: true, crashes: 1 },
  {
    ...SMALL,
    name: "members: 3 nodes, 1 term, one of 3 voters is removed, a crash",
    termMax: 2,
    crashes: 1,
    confChanges: 1,
    change: { transition: ConfTransition.Auto, changes: parseChanges("r3"), context: new Uint8Array(0) },
  },
  {
    ...SMALL,
    name: "joint: 3 nodes, 1 term, voter 3 is replaced by leaving it out through a joint configuration",
    termMax: 2,
    confChanges: 1,
    change: {
      transition: ConfTransition.JointImplicit,
      changes: parseChanges("r3"),
      context: new Uint8Array(0),
    },
  },
  {
    ...SMALL,
    name: "full: 3 nodes, 2 terms, 2 entries, a crash, a duplicate, a heartbeat",
    proposals: 2,
    crashes: 1,
    duplicates: 1,
    heartbeats: 1,
  },
];
