import { ConfTransition, parseChanges } from "../../src/raft/index.js";
import type { Scope } from "./search.js";

const SMALL: Scope = {
  name: "",
  nodes: 3,
  voters: [1, 2, 3],
  termMax: 3,
  timeouts: Number.POSITIVE_INFINITY,
  proposals: 0,
  crashes: 0,
  duplicates: 0,
  heartbeats: 0,
  change: null,
  confChanges: 0,
  preVote: false,
  smallAppends: false,
  slowDisks: false,
  mirrored: true,
  linkCapacity: Number.POSITIVE_INFINITY,
};

const R3 = parseChanges("r3");
const NOTHING = new Uint8Array(0);

/** From small to large: what each adds, the others leave out. Loss and reordering of messages are in all of them. */
export const SCOPES: readonly Scope[] = [
  { ...SMALL, name: "elections: 3 nodes, 2 terms" },
  {
    ...SMALL,
    name: "slow disks: 3 nodes, 1 term, a crash between write and sync",
    termMax: 2,
    crashes: 1,
    slowDisks: true,
  },
  {
    ...SMALL,
    name: "replication: 3 nodes, 1 term, 1 entry, a duplicate",
    termMax: 2,
    proposals: 1,
    duplicates: 1,
  },
  { ...SMALL, name: "heartbeats: 3 nodes, 1 term, 2 heartbeats", termMax: 2, heartbeats: 2 },
  { ...SMALL, name: "pre-vote: 3 nodes, 1 term, 2 timeouts", termMax: 2, timeouts: 2, preVote: true },
  {
    ...SMALL,
    name: "members: 3 nodes, 1 term, one of 3 voters is removed, a crash",
    termMax: 2,
    crashes: 1,
    confChanges: 1,
    change: { transition: ConfTransition.Auto, changes: R3, context: NOTHING },
  },
  {
    ...SMALL,
    name: "joint: 3 nodes, 1 term, one of 3 voters is removed through a joint configuration",
    termMax: 2,
    confChanges: 1,
    change: { transition: ConfTransition.JointImplicit, changes: R3, context: NOTHING },
  },
  { ...SMALL, name: "replication: 3 nodes, 1 term, 2 entries", termMax: 2, proposals: 2 },
  {
    ...SMALL,
    name: "overtaking: 3 nodes, 1 term, 2 entries, a duplicate",
    termMax: 2,
    proposals: 2,
    duplicates: 1,
  },
  { ...SMALL, name: "two terms: 3 nodes, 2 terms, 1 entry", proposals: 1 },
  {
    ...SMALL,
    name: "small appends: 3 nodes, 2 terms, 1 entry, one entry an append",
    proposals: 1,
    smallAppends: true,
  },
  { ...SMALL, name: "two terms: 3 nodes, 2 terms, a crash on slow disks", crashes: 1, slowDisks: true },
  {
    ...SMALL,
    name: "narrow links: 3 nodes, 2 terms, 2 entries, one message on each link",
    proposals: 2,
    linkCapacity: 1,
  },
  {
    ...SMALL,
    name: "narrow links: 3 nodes, 2 terms, 1 entry, a crash, a duplicate, one message on each link",
    proposals: 1,
    crashes: 1,
    duplicates: 1,
    linkCapacity: 1,
  },
  {
    ...SMALL,
    name: "narrow links: 3 nodes, 2 terms, a joint change, one message on each link",
    confChanges: 1,
    change: { transition: ConfTransition.JointImplicit, changes: R3, context: NOTHING },
    linkCapacity: 1,
  },
  {
    ...SMALL,
    name: "narrow links: 3 nodes, 2 terms, 2 entries, a crash, a duplicate, one message on each link",
    proposals: 2,
    crashes: 1,
    duplicates: 1,
    linkCapacity: 1,
  },
  { ...SMALL, name: "two messages a link: 3 nodes, 2 terms, 1 entry", proposals: 1, linkCapacity: 2 },
  {
    ...SMALL,
    name: "full: 3 nodes, 2 terms, 2 entries, a crash on slow disks, a duplicate, a heartbeat, a joint change",
    proposals: 2,
    crashes: 1,
    duplicates: 1,
    heartbeats: 1,
    slowDisks: true,
    confChanges: 1,
    change: { transition: ConfTransition.JointImplicit, changes: R3, context: NOTHING },
  },
];
