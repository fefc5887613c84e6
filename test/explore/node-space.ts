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
  type RaftOptions,
} from "../../src/raft/index.js";
import { checkInvariants } from "../../src/raft/invariants.js";
import { Member } from "../../src/raft/member.js";
import { PRODUCTION_MODE } from "../../src/raft/state.js";
import { type Hash, hashOf, messageHashes, otherBatch, otherFingerprint, otherId } from "./mirror.js";

type Batch = NonNullable<Effects["persist"]>;

/** What a member has on its disk; never changed, only replaced. The state machine is not on it: a crash loses all of it. */
export interface Disk {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

/** One state of one member. There is one object, and one number, for all equal ones. */
export interface NodeState {
  readonly number: number;
  readonly core: Core;
  readonly disk: Disk;
  /** Handed to the disk and not synced, oldest first. */
  readonly pending: readonly Batch[];
  /** Of everything that it is, and of its mirror image; see `mirror.ts`. */
  readonly own: Hash;
  readonly other: Hash;
}

/** A message. There is one object, and one number, for all equal ones. */
export interface Flight {
  readonly number: number;
  readonly message: Message;
  readonly text: string;
  readonly own: Hash;
  readonly other: Hash;
}

/** What a member does with an input. */
export interface Outcome {
  readonly node: NodeState;
  readonly sent: readonly Flight[];
}

/** First index after the founding state. */
export const FOUNDING = 1;

/** Numbers below this name messages, so that a pair of numbers fits a safe integer. */
const NUMBERS = 2 ** 26;

/**
 * All states of single members that were met, and what each does with each input. A group has few of them compared with
 * its worlds, so the core runs once for each pair of state and input and not once for each transition of a world.
 */
export class NodeSpace {
  readonly nodes: NodeState[] = [];
  readonly flights: Flight[] = [];
  private readonly nodeNumbers = new Map<string, number>();
  private readonly flightNumbers = new Map<string, number>();
  private readonly outcomes = new Map<number, Outcome>();
  private readonly steps = new Map<number, Outcome>();
  private readonly relevance = new Map<number, boolean>();

  constructor(
    private readonly slowDisks: boolean,
    /** Members 2 and 3 are told apart by nothing but their ids. */
    private readonly mirrored: boolean,
  ) {}

  founder(options: RaftOptions, conf: ConfState): NodeState {
    const durable = foundingState(conf);
    const core = new Core(options, durable, PRODUCTION_MODE);
    return this.settle(core, { hardState: durable.hardState, entries: [] }, []).node;
  }

  /** Delivery of a message; the core runs the first time only. */
  deliver(node: NodeState, flight: Flight, run: (core: Core) => void): Outcome {
    const key = node.number * NUMBERS + flight.number;
    const known = this.outcomes.get(key);
    if (known !== undefined) return known;
    const outcome = this.act(node, run);
    this.outcomes.set(key, outcome);
    return outcome;
  }

  /** Any other step, named by a number below 1024; computed the first time only. */
  step(node: NodeState, code: number, run: () => Outcome): Outcome {
    const key = node.number * 1024 + code;
    let known = this.steps.get(key);
    if (known === undefined) {
      known = run();
      this.steps.set(key, known);
    }
    return known;
  }

  /** Lets a copy of the member take an input, and everything that follows from it without a slow disk. */
  act(node: NodeState, input: (core: Core) => void): Outcome {
    const core = cloneCore(node.core);
    input(core);
    checkInvariants(core);
    return this.settle(core, node.disk, node.pending);
  }

  /** Syncs the oldest batch. */
  sync(node: NodeState): Outcome {
    const [batch, ...rest] = node.pending as [Batch, ...Batch[]];
    const core = cloneCore(node.core);
    const disk = write(node.disk, batch);
    persisted(core, batch.seq);
    checkInvariants(core);
    const outcome = this.settle(core, disk, rest);
    return { node: outcome.node, sent: [...this.flightsOf(batch.after), ...outcome.sent] };
  }

  /** Loses everything that is not on the disk, and starts again. */
  crash(node: NodeState, options: RaftOptions, conf: ConfState): Outcome {
    const { hardState, entries } = node.disk;
    const core = new Core(options, { ...foundingState(conf), hardState, entries }, PRODUCTION_MODE);
    return this.settle(core, node.disk, []);
  }

  /** Whether a message can still have an effect on a member; asked for each pair once. */
  isRelevant(
    node: NodeState,
    flight: Flight,
    decide: (node: NodeState, message: Message) => boolean,
  ): boolean {
    const key = node.number * NUMBERS + flight.number;
    let known = this.relevance.get(key);
    if (known === undefined) {
      known = decide(node, flight.message);
      this.relevance.set(key, known);
    }
    return known;
  }

  /** Drains the core into messages and the disk; committed entries are applied at once. */
  private settle(core: Core, diskBefore: Disk, pending: readonly Batch[]): Outcome {
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
      if (this.slowDisks) {
        batches = [...batches, batch];
        continue;
      }
      disk = write(disk, batch);
      persisted(core, batch.seq);
      sent.push(...batch.after);
    }
    return { node: this.intern(core, disk, batches), sent: this.flightsOf(sent) };
  }

  private intern(core: Core, disk: Disk, pending: readonly Batch[]): NodeState {
    const text = nodeText(core, disk, pending);
    const known = this.nodeNumbers.get(text);
    if (known !== undefined) return this.nodes[known] as NodeState;
    const own = hashOf(text);
    const other = this.mirrored ? hashOf(otherText(core, disk, pending)) : own;
    const node = { number: this.nodes.length, core, disk, pending, own, other };
    this.nodes.push(node);
    this.nodeNumbers.set(text, node.number);
    return node;
  }

  private flightsOf(messages: readonly Message[]): Flight[] {
    return messages.map((message) => {
      const text = messageText(message);
      const known = this.flightNumbers.get(text);
      if (known !== undefined) return this.flights[known] as Flight;
      const flight = { number: this.flights.length, message, text, ...messageHashes(message) };
      this.flights.push(flight);
      this.flightNumbers.set(text, flight.number);
      return flight;
    });
  }
}

function write(disk: Disk, batch: Batch): Disk {
  const first = batch.entries[0];
  const entries =
    first === undefined
      ? disk.entries
      : [...disk.entries.slice(0, first.index - FOUNDING - 1), ...batch.entries];
  return { hardState: batch.hardState ?? disk.hardState, entries };
}

function nodeText(core: Core, disk: Disk, pending: readonly Batch[]): string {
  return `${fingerprint(core)}#${diskText(disk, disk.hardState.vote)}#${pending.map(batchText).join("/")}`;
}

/** What `nodeText` says of the mirror image. */
function otherText(core: Core, disk: Disk, pending: readonly Batch[]): string {
  const batches = pending.map((batch) => batchText(otherBatch(batch)));
  return `${otherFingerprint(core)}#${diskText(disk, otherId(disk.hardState.vote))}#${batches.join("/")}`;
}

function diskText(disk: Disk, vote: number): string {
  const { term, commit } = disk.hardState;
  return `${term}.${vote}.${commit}#${disk.entries.map((e) => `${e.index}.${e.term}`).join(" ")}`;
}

function batchText(batch: Batch): string {
  const hard = batch.hardState;
  const state = hard === null ? "" : `${hard.term}.${hard.vote}.${hard.commit}`;
  const entries = batch.entries.map((e) => `${e.index}.${e.term}`).join(" ");
  return `${state}~${entries}~${batch.after.map(messageText).join("+")}`;
}
