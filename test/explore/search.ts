import type { Core } from "../../src/raft/core.js";
import {
  type ConfChange,
  type ConfState,
  EMPTY_CONF_STATE,
  EntryKind,
  type Message,
  MessageKind,
  NO_LIMIT,
  type RaftId,
  type RaftOptions,
} from "../../src/raft/index.js";
import { ProgressState } from "../../src/raft/progress/progress.js";
import { hup } from "../../src/raft/roles/election.js";
import { awaitedBy } from "../../src/raft/roles/pair-commit.js";
import { propose, proposeConfChange } from "../../src/raft/roles/proposal.js";
import { broadcastHeartbeat } from "../../src/raft/roles/replication.js";
import { stepFromPeer } from "../../src/raft/step.js";
import { checkWorld, SafetyViolation } from "./checks.js";
import { type Flight, NodeSpace, type NodeState, type Outcome } from "./node-space.js";
import { KeySet } from "./key-set.js";
import { type Budget, remember, type World, withSent, withinCapacity, worldKey } from "./world.js";

/** What one exploration may do, and where it has to stop. */
export interface Scope {
  readonly name: string;
  readonly nodes: number;
  /** Voters of the founding configuration; the others exist and wait. */
  readonly voters: readonly RaftId[];
  /** Elections may reach this term; the group is founded in term 1. */
  readonly termMax: number;
  /** Election timeouts of all members together, where the term alone does not bound them. */
  readonly timeouts: number;
  readonly proposals: number;
  readonly crashes: number;
  readonly duplicates: number;
  readonly heartbeats: number;
  /** Offered to every leader, as often as `confChanges` allows. */
  readonly change: ConfChange | null;
  readonly confChanges: number;
  readonly preVote: boolean;
  /** Writes become durable in a step of their own. Without it nothing can come between a write and its sync. */
  readonly slowDisks: boolean;
  /** Appends carry one entry each. */
  readonly smallAppends: boolean;
  /** Members 2 and 3 may change places without making another world; not where `change` names one of them. */
  readonly mirrored: boolean;
  /** Messages under way from one member to another; beyond it the oldest kind of message on that link is lost. */
  readonly linkCapacity: number;
  /** Whatever is proposed is awaited by clients of all other members. */
  readonly awaited: boolean;
}

/** Where an exploration ended. */
export interface SearchResult {
  readonly scope: string;
  readonly states: number;
  /** Different states of single members among them. */
  readonly nodeStates: number;
  readonly transitions: number;
  readonly depth: number;
  /** Whether every reachable world was visited. */
  readonly complete: boolean;
  readonly seconds: number;
  /** Situations that were reached, with the number of worlds. */
  readonly reached: Readonly<Record<string, number>>;
  readonly violation: { readonly message: string; readonly path: readonly string[] } | null;
}

/** When to stop: the first limit that is reached. */
export interface Limits {
  readonly statesMax: number;
  /** Monotonic ms. */
  readonly deadlineMs: number;
  readonly nowMs: () => number;
}

interface Step {
  readonly name: string;
  readonly world: World;
}

interface Trail {
  readonly name: string;
  readonly before: Trail | null;
}

/** Breadth-first over everything that can happen next, until nothing new is found or a limit is reached. */
export function explore(scope: Scope, limits: Limits): SearchResult {
  const started = limits.nowMs();
  const reached: Record<string, number> = {};
  const explorer = new Explorer(scope);
  const visited = new KeySet();
  const mirrored = explorer.mirrored;
  let transitions = 0;
  let depth = 0;
  const result = (complete: boolean, violation: SearchResult["violation"]): SearchResult => ({
    scope: scope.name,
    states: visited.size,
    nodeStates: explorer.space.nodes.length,
    transitions,
    depth,
    complete,
    seconds: (limits.nowMs() - started) / 1000,
    reached,
    violation,
  });
  const root = explorer.root();
  visited.add(worldKey(root, mirrored));
  let frontier: { world: World; trail: Trail | null }[] = [{ world: root, trail: null }];
  while (frontier.length > 0) {
    const next: typeof frontier = [];
    for (const { world, trail } of frontier) {
      let steps: Step[];
      try {
        steps = explorer.steps(world);
        for (const step of steps) {
          transitions++;
          if (!visited.add(worldKey(step.world, mirrored))) continue;
          const ahead = { name: step.name, before: trail };
          try {
            checkWorld(step.world);
          } catch (error) {
            return result(false, { message: (error as Error).message, path: pathOf(ahead) });
          }
          count(reached, step.world);
          next.push({ world: step.world, trail: ahead });
        }
      } catch (error) {
        if (error instanceof SafetyViolation) throw error;
        const tried = { name: explorer.attempted, before: trail };
        return result(false, {
          message: `${(error as Error).name}: ${(error as Error).message}`,
          path: pathOf(tried),
        });
      }
      if (visited.size >= limits.statesMax || limits.nowMs() >= limits.deadlineMs) return result(false, null);
    }
    frontier = next;
    if (next.length > 0) depth++;
  }
  return result(true, null);
}

function pathOf(trail: Trail | null): string[] {
  const path: string[] = [];
  for (let at = trail; at !== null; at = at.before) path.unshift(at.name);
  return path;
}

function count(reached: Record<string, number>, world: World): void {
  const add = (what: string): void => {
    reached[what] = (reached[what] ?? 0) + 1;
  };
  const leaders = world.nodes.filter(({ core }) => core.role === "leader");
  if (leaders.length > 0) add("a leader");
  if (leaders.length > 1) add("two leaders of different terms");
  if (world.ghosts.committed.length > 0) add("something committed");
  if (world.nodes.some(({ core }) => core.config.outgoing.length > 0)) add("a joint configuration");
  const tops = new Set(world.nodes.map(({ core }) => `${core.log.last}.${core.log.lastTerm}`));
  if (tops.size === world.nodes.length) add("all logs end differently");
}

type AddStep = (code: number, name: string, used: Partial<Budget>, run: () => Outcome) => void;

/** The possible next worlds of a world. */
class Explorer {
  readonly space: NodeSpace;
  /** Worlds that differ only in which of members 2 and 3 is which count once. */
  readonly mirrored: boolean;
  private readonly options: readonly RaftOptions[];
  private readonly conf: ConfState;
  /** The step that was being tried, for the report of one that throws. */
  attempted = "";

  constructor(private readonly scope: Scope) {
    this.mirrored = scope.mirrored && scope.change === null && scope.nodes === 3;
    this.space = new NodeSpace(scope.slowDisks, this.mirrored);
    this.conf = { ...EMPTY_CONF_STATE, voters: scope.voters };
    this.options = Array.from({ length: scope.nodes }, (_, i) => optionsOf(scope, i + 1));
  }

  root(): World {
    return {
      nodes: this.options.map((options) => this.space.founder(options, this.conf)),
      network: [],
      budget: { timeouts: 0, proposals: 0, crashes: 0, duplicates: 0, heartbeats: 0, confChanges: 0 },
      ghosts: { leaders: [], committed: [] },
    };
  }

  steps(world: World): Step[] {
    const steps: Step[] = [];
    for (let i = 0; i < world.nodes.length; i++) this.nodeSteps(world, i, steps);
    for (const flight of world.network) this.deliverySteps(world, flight, steps);
    return steps;
  }

  private nodeSteps(world: World, at: number, steps: Step[]): void {
    const { scope, space } = this;
    const node = world.nodes[at] as NodeState;
    const { core } = node;
    const { budget } = world;
    const add: AddStep = (code, name, used, run) => {
      this.attempted = `${name} ${core.id}`;
      const outcome = space.step(node, code, run);
      const next = this.after(world, at, outcome, world.network, { ...budget, ...used });
      steps.push({ name: this.attempted, world: next });
    };
    // The first candidate is the same whoever it is.
    const first = world.nodes.every(({ core: c }) => c.term === 1 && c.role === "follower");
    const mayCampaign = core.term < scope.termMax && core.role !== "leader" && (!first || core.id === 1);
    if (mayCampaign && budget.timeouts < scope.timeouts) {
      const timeouts = Number.isFinite(scope.timeouts) ? budget.timeouts + 1 : 0;
      add(0, "timeout", { timeouts }, () =>
        space.act(node, (c) => hup(c, scope.preVote ? "pre-election" : "election")),
      );
    }
    if (core.lead !== null) this.leaderSteps(node, budget, add);
    if (node.pending.length > 0) add(1, "sync", {}, () => space.sync(node));
    if (budget.crashes < scope.crashes) {
      const options = this.options[at] as RaftOptions;
      add(2, "crash", { crashes: budget.crashes + 1 }, () => space.crash(node, options, this.conf));
    }
  }

  /** In scopes with `awaited`, clients of all others wait for it. */
  private propose(core: Core, data: Uint8Array): void {
    const result = propose(core, [data]);
    if (!this.scope.awaited || !result.ok) return;
    for (const peer of core.config.incoming) if (peer !== core.id) awaitedBy(core, peer, result.index);
  }

  private leaderSteps(node: NodeState, budget: Budget, add: AddStep): void {
    const { scope, space } = this;
    if (budget.proposals < scope.proposals) {
      const data = new Uint8Array([97 + budget.proposals]);
      add(10 + budget.proposals, "propose", { proposals: budget.proposals + 1 }, () =>
        space.act(node, (c) => this.propose(c, data)),
      );
    }
    if (budget.heartbeats < scope.heartbeats) {
      const beat = (c: Core): void => {
        if (c.lead !== null) broadcastHeartbeat(c, c.lead);
      };
      add(3, "heartbeat", { heartbeats: budget.heartbeats + 1 }, () => space.act(node, beat));
    }
    const { change } = scope;
    if (change !== null && budget.confChanges < scope.confChanges) {
      const propose = (c: Core): void => {
        proposeConfChange(c, change, EntryKind.ConfChangeV2, undefined);
      };
      add(4, "change members", { confChanges: budget.confChanges + 1 }, () => space.act(node, propose));
    }
  }

  /** A message may arrive, may arrive and stay for a second time, or stay for ever, which is a loss. */
  private deliverySteps(world: World, flight: Flight, steps: Step[]): void {
    const at = flight.message.to - 1;
    const node = world.nodes[at] as NodeState;
    this.attempted = `deliver ${flight.text}`;
    const outcome = this.space.deliver(node, flight, (core) => stepFromPeer(core, flight.message));
    const rest = world.network.filter((other) => other !== flight);
    steps.push({ name: flight.text, world: this.after(world, at, outcome, rest, world.budget) });
    if (world.budget.duplicates < this.scope.duplicates) {
      const budget = { ...world.budget, duplicates: world.budget.duplicates + 1 };
      steps.push({ name: flight.text, world: this.after(world, at, outcome, world.network, budget) });
    }
  }

  private after(
    world: World,
    at: number,
    outcome: Outcome,
    network: readonly Flight[],
    budget: Budget,
  ): World {
    const nodes = world.nodes.slice();
    nodes[at] = outcome.node;
    const all = withSent(network, outcome.sent);
    const kept = all.filter((flight) => {
      const receiver = nodes[flight.message.to - 1];
      return receiver !== undefined && this.space.isRelevant(receiver, flight, isRelevant);
    });
    const carried = withinCapacity(kept, outcome.sent, this.scope.linkCapacity);
    return { nodes, network: carried, budget, ghosts: remember(world.ghosts, outcome.node) };
  }
}

function optionsOf(scope: Scope, id: RaftId): RaftOptions {
  return {
    id,
    electionTicks: 10,
    heartbeatTicks: 1,
    preVote: scope.preVote,
    checkQuorum: false,
    appendBytesMax: scope.smallAppends ? 0 : NO_LIMIT,
    inflightMessagesMax: 256,
    inflightBytesMax: NO_LIMIT,
    uncommittedBytesMax: NO_LIMIT,
    committedBytesMax: NO_LIMIT,
    readMode: "read-index",
    stepDownOnRemoval: true,
    confChangeValidation: true,
    random: () => 0,
  };
}

/**
 * Whether a message can still have an effect. Worlds that differ only in messages without one count once: those of a term
 * below what the receiver has on its disk unless they are answered, answers to a candidate or leader that is none any
 * more, and answers that tell it nothing new.
 */
function isRelevant(node: NodeState, message: Message): boolean {
  const { core, disk } = node;
  // Pre-votes are answered whatever their term, and what leaders send below the own term is answered too.
  if (core.options.preVote) return true;
  if (message.kind === MessageKind.Append || message.kind === MessageKind.Heartbeat) return true;
  // A refusal tells what is committed, whenever it arrives.
  if (message.reject && message.commit > disk.hardState.commit) return true;
  if (message.term < disk.hardState.term) return false;
  if (disk.hardState.term < message.term || core.term < message.term) return true;
  switch (message.kind) {
    case MessageKind.VoteResponse:
      return core.role === "candidate" && core.term === message.term && !core.votes.has(message.from);
    case MessageKind.HeartbeatResponse:
      return core.role === "leader" && core.term === message.term;
    case MessageKind.AppendResponse: {
      if (core.role !== "leader" || core.term !== message.term) return false;
      const progress = core.tracker.get(message.from);
      if (progress === undefined) return false;
      return progress.state !== ProgressState.Replicate || message.index > progress.match;
    }
    default:
      return true;
  }
}
