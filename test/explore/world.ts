import { cloneCore, fingerprint, messageText } from "../../src/raft/clone.js";
import { Core } from "../../src/raft/core.js";
import { drain, hasEffects, persisted } from "../../src/raft/drain.js";
import {
  type ConfState,
  decodeConfChange,
  type Effects,
  type Entry,
  EntryKind,
  foundingState,
  type HardState,
  type Message,
  type RaftId,
  type RaftOptions,
} from "../../src/raft/index.js";
import { checkInvariants } from "../../src/raft/invariants.js";
import { Member } from "../../src/raft/member.js";
import { PRODUCTION_MODE } from "../../src/raft/state.js";

type Batch = NonNullable<Effects["persist"]>;

/** What a member has on its disk; never changed, only replaced. The state machine is not on it: a crash loses all of it. */
export interface Disk {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

/** One member of a world; never changed once its world is made. */
export interface NodeState {
  readonly core: Core;
  readonly disk: Disk;
  /** Handed to the disk and not synced, oldest first. */
  readonly pending: readonly Batch[];
  /** Hash of everything that can influence its future. */
  readonly hash: Hash;
}

/** Two independent 32 bit hashes of a text. */
export interface Hash {
  readonly a: number;
  readonly b: number;
}

/** A message on its way; worlds hold each at most once. */
export interface InFlight {
  readonly message: Message;
  readonly text: string;
  readonly hash: Hash;
}

/** What the actions of a path have used up. */
export interface Budget {
  readonly proposals: number;
  readonly crashes: number;
  readonly duplicates: number;
  readonly heartbeats: number;
  readonly confChanges: number;
}

/** One state of the whole group. */
export interface World {
  readonly nodes: readonly NodeState[];
  /** In order of their texts. */
  readonly network: readonly InFlight[];
  readonly budget: Budget;
  /** Ghost: who led each term, by term. */
  readonly leaders: readonly (RaftId | undefined)[];
  /** Ghost: term of every entry that any member has held committed, by index. */
  readonly committed: readonly (number | undefined)[];
}

/** First index after the founding state. */
export const FOUNDING = 1;

/** How the disks of a world behave. */
export interface DiskMode {
  /** A write waits for a step of its own, in which a crash can come first. Otherwise it is durable at once. */
  readonly slow: boolean;
}

export function makeNode(options: RaftOptions, conf: ConfState): NodeState {
  const durable = foundingState(conf);
  const core = new Core(options, durable, PRODUCTION_MODE);
  return settle(core, { hardState: durable.hardState, entries: [] }, [], SLOW).node;
}

const SLOW: DiskMode = { slow: true };

/** What a member of a world does with an input, without touching the world. */
export interface Outcome {
  readonly node: NodeState;
  readonly sent: readonly Message[];
}

/** Lets a copy of the member take an input, and everything that follows from it without the disk. */
export function act(node: NodeState, mode: DiskMode, input: (core: Core) => void): Outcome {
  const core = cloneCore(node.core);
  input(core);
  checkInvariants(core);
  return settle(core, node.disk, node.pending, mode);
}

/** Drains the core into the network and the disk; committed entries are applied at once. */
function settle(core: Core, diskBefore: Disk, pending: readonly Batch[], mode: DiskMode): Outcome {
  const sent: Message[] = [];
  let batches = pending;
  let disk = diskBefore;
  const member = new Member(core);
  while (hasEffects(core)) {
    const effects = drain(core);
    sent.push(...effects.messages);
    for (const entry of effects.committed) {
      if (entry.kind !== EntryKind.Normal) member.applyConfChange(decodeConfChange(entry));
    }
    const last = effects.committed.at(-1);
    if (last !== undefined) member.applied(last.index);
    const batch = effects.persist;
    if (batch === null) continue;
    if (mode.slow) {
      batches = [...batches, batch];
      continue;
    }
    disk = write(disk, batch);
    persisted(core, batch.seq);
    sent.push(...batch.after);
  }
  return { node: { core, disk, pending: batches, hash: hashText(nodeText(core, disk, batches)) }, sent };
}

/** Syncs the oldest batch. */
export function sync(node: NodeState): Outcome {
  const [batch, ...rest] = node.pending as [Batch, ...Batch[]];
  const core = cloneCore(node.core);
  const disk = write(node.disk, batch);
  persisted(core, batch.seq);
  checkInvariants(core);
  const outcome = settle(core, disk, rest, SLOW);
  return { node: outcome.node, sent: [...batch.after, ...outcome.sent] };
}

function write(disk: Disk, batch: Batch): Disk {
  const first = batch.entries[0];
  const entries =
    first === undefined
      ? disk.entries
      : [...disk.entries.slice(0, first.index - FOUNDING - 1), ...batch.entries];
  return { hardState: batch.hardState ?? disk.hardState, entries };
}

/** Loses everything that is not on the disk, and starts again. */
export function crash(node: NodeState, options: RaftOptions, conf: ConfState): Outcome {
  const { hardState, entries } = node.disk;
  const core = new Core(options, { ...foundingState(conf), hardState, entries }, PRODUCTION_MODE);
  return settle(core, node.disk, [], SLOW);
}

function nodeText(core: Core, disk: Disk, pending: readonly Batch[]): string {
  const { term, vote, commit } = disk.hardState;
  const entries = disk.entries.map((e) => `${e.index}.${e.term}`).join(" ");
  return `${fingerprint(core)}#${term}.${vote}.${commit}#${entries}#${pending.map(batchText).join("/")}`;
}

function batchText(batch: Batch): string {
  const hard = batch.hardState;
  const state = hard === null ? "" : `${hard.term}.${hard.vote}.${hard.commit}`;
  const entries = batch.entries.map((e) => `${e.index}.${e.term}`).join(" ");
  return `${state}~${entries}~${batch.after.map(messageText).join("+")}`;
}

/** Hashes a text. */
export function hashText(text: string): Hash {
  let a = 0x811c9dc5;
  let b = 0x85ebca6b;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x5bd1e995);
    b ^= b >>> 15;
  }
  return { a, b };
}

/** 53 bits of hash of a world: two worlds share one with a chance of about count²/2⁵⁴. */
export function worldKey(world: World): number {
  let a = 0x9e3779b9;
  let b = 0x7f4a7c15;
  const mix = (hash: Hash): void => {
    a = Math.imul(a ^ hash.a, 0x7feb352d);
    a ^= a >>> 15;
    b = Math.imul(b ^ hash.b, 0x846ca68b);
    b ^= b >>> 13;
  };
  for (const node of world.nodes) mix(node.hash);
  for (const flight of world.network) mix(flight.hash);
  const { proposals, crashes, duplicates, heartbeats, confChanges } = world.budget;
  const budget = [proposals, crashes, duplicates, heartbeats, confChanges].join(".");
  mix(hashText(`${world.network.length}|${budget}|${world.leaders.join()}|${world.committed.join()}`));
  return (a >>> 0) * 2 ** 21 + (b >>> 11);
}
