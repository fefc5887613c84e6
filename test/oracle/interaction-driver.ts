import { encodeConfChange, parseChanges } from "../../src/raft/conf/codec.js";
import { isVoter } from "../../src/raft/conf/config.js";
import {
  type ConfChange,
  ConfTransition,
  describeRole,
  EMPTY_CONF_STATE,
  Entry,
  EntryKind,
  Message,
  MESSAGE_NAMES,
  MessageKind,
  NO_LIMIT,
  type RaftOptions,
} from "../../src/raft/index.js";
import { forgetLeader } from "../../src/raft/member.js";
import { step } from "../../src/raft/step.js";
import { type Argument, parseDirective, type TestCase } from "./datadriven.js";
import { type Envelope, OracleNode, peerEnvelope } from "./environment.js";
import { describeTracker, indentLines } from "./print.js";

const LEVELS = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"];
const ELECTION_TICKS = 3;
const HEARTBEAT_TICKS = 1;
const KINDS = new Set([...Object.values(MESSAGE_NAMES), "MsgStorageAppendResp", "MsgStorageApplyResp"]);
const STABILIZE_ROUNDS_MAX = 10_000;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Executes the commands of one interaction file on real cores. Text of loggers is not produced. */
export class InteractionDriver {
  private readonly nodes: OracleNode[] = [];
  private messages: Envelope[] = [];
  private out = "";
  private quiet = false;

  /** Runs one case; answers its output. */
  run(test: TestCase): string {
    this.out = "";
    try {
      if (test.command === "propose-conf-change") this.proposeConfChange(test.args, test.input);
      else this.runCommands(test);
    } catch (error) {
      // Mistakes of a file and failed operations are part of the output; broken promises of the core are not.
      if (!(error instanceof CommandError)) throw error;
      if (this.quiet) return error.message;
      this.print(error.message);
    }
    return this.out === "" ? "ok" : this.out;
  }

  /** The command of the case, and then one for each line of its input. */
  private runCommands(test: TestCase): void {
    this.runOne(test.command, test.args);
    for (const line of test.input.split("\n")) {
      const parsed = parseDirective(line);
      if (parsed !== null) this.runOne(parsed.command, parsed.args);
    }
  }

  private print(text: string): void {
    if (!this.quiet) this.out += text;
  }

  private indented(run: () => void): void {
    const before = this.out;
    this.out = "";
    run();
    const text = this.out.replace(/\n$/, "");
    this.out = before;
    if (text !== "") this.print(`${indentLines(text)}\n`);
  }

  private node(id: number): OracleNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new CommandError(`no node ${id}`);
    return node;
  }

  private runOne(command: string, args: readonly Argument[]): void {
    const id = (position = 0): number => number(args[position]?.key);
    switch (command) {
      case "_breakpoint":
        return;
      case "add-nodes":
        return this.addNodes(args);
      case "campaign":
        return this.node(id()).member.campaign();
      case "compact":
        return this.compact(id(), id(1));
      case "deliver-msgs":
        return this.deliverCommand(args);
      case "process-ready":
        return this.forEach(args, "handling Ready", (node) => this.processReady(node));
      case "process-append-thread":
        return this.forEach(args, "processing append thread", (node) => this.processAppend(node));
      case "process-apply-thread":
        return this.forEach(args, "processing apply thread", (node) => this.processApply(node));
      case "log-level":
        return this.setLevel(args[0]?.key ?? "");
      case "raft-log":
        return this.print(this.node(id()).disk.describe());
      case "raft-state":
        return this.printStates();
      case "set-randomized-election-timeout":
        this.node(id()).core.randomizedTicks = number(value(args, "timeout"));
        return;
      case "stabilize":
        return this.stabilizeCommand(args);
      case "status":
        return this.printStatus(id());
      case "tick-election":
        return this.tick(id(), ELECTION_TICKS);
      case "tick-heartbeat":
        return this.tick(id(), HEARTBEAT_TICKS);
      case "tick":
        return this.tick(id(), id(1));
      case "transfer-leadership":
        this.node(number(value(args, "from"))).member.transferLeader(number(value(args, "to")));
        return;
      case "forget-leader":
        return forgetLeader(this.node(id()).core);
      case "send-snapshot":
        return this.sendSnapshot(id(), id(1));
      case "propose":
        return this.propose(id(), EntryKind.Normal, new TextEncoder().encode(args[1]?.key ?? ""));
      case "report-unreachable":
        return this.node(id()).member.reportUnreachable(id(1));
      default:
        throw new CommandError("unknown command");
    }
  }

  private addNodes(args: readonly Argument[]): void {
    const options = defaultOptions();
    const start = { index: 0, content: "", voters: [] as number[], learners: [] as number[] };
    let asyncStorageWrites = false;
    for (const { key, values } of args.slice(1)) {
      const first = values[0] ?? "";
      switch (key) {
        case "voters":
        case "learners":
          start[key].push(...values.map(number));
          break;
        case "index":
          start.index = number(first);
          break;
        case "content":
          start.content = first;
          break;
        case "async-storage-writes":
          asyncStorageWrites = boolean(first);
          break;
        default:
          setOption(options, key, first);
      }
    }
    const bootstrap =
      start.index > 0 || start.voters.length > 0 || start.learners.length > 0 || start.content !== "";
    if (bootstrap && start.index <= 1)
      throw new CommandError("index must be specified as > 1 due to bootstrap");
    const confState = { ...EMPTY_CONF_STATE, voters: start.voters, learners: start.learners };
    const meta = { index: start.index, term: bootstrap ? 1 : 0, confState };
    for (let i = 0; i < number(args[0]?.key); i++) {
      const id = this.nodes.length + 1;
      const settings = { asyncStorageWrites, start: { meta, data: start.content } };
      this.nodes.push(new OracleNode({ ...options, id }, settings));
    }
  }

  private compact(id: number, index: number): void {
    const node = this.node(id);
    const error = node.disk.compact(index);
    if (error !== null) throw new CommandError(error);
    node.core.log.compactTo(index);
    this.print(node.disk.describe());
  }

  /** With one node its output stands alone; with several each has a header and is indented. */
  private forEach(args: readonly Argument[], what: string, run: (node: OracleNode) => void): void {
    const ids = args.filter((arg) => arg.values.length === 0).map((arg) => number(arg.key));
    for (const id of ids) {
      if (ids.length === 1) {
        run(this.node(id));
        continue;
      }
      this.print(`> ${id} ${what}\n`);
      this.indented(() => run(this.node(id)));
    }
  }

  private processReady(node: OracleNode): void {
    this.print(node.processReady((envelope) => this.messages.push(envelope)));
  }

  private processAppend(node: OracleNode): void {
    this.print(node.processThread(node.appendWork, "append", (envelope) => this.messages.push(envelope)));
  }

  private processApply(node: OracleNode): void {
    this.print(node.processThread(node.applyWork, "apply", (envelope) => this.messages.push(envelope)));
  }

  private deliverCommand(args: readonly Argument[]): void {
    const recipients: { id: number; drop: boolean }[] = [];
    let kind: string | null = null;
    for (const { key, values } of args) {
      if (values.length === 0) recipients.push({ id: number(key), drop: false });
      else if (key === "drop") for (const id of values) recipients.push({ id: number(id), drop: true });
      else if (key === "type") kind = messageKind(values[0] ?? "");
    }
    let count = 0;
    for (const { id, drop } of recipients) count += this.deliver(id, kind, drop);
    if (count === 0) this.print("no messages\n");
  }

  /** Delivers or drops what is on its way to `id`, in order. What a node says to itself is never dropped. */
  private deliver(id: number, kind: string | null, drop: boolean): number {
    const wanted = (e: Envelope): boolean =>
      e.to === id && !(drop && e.local) && (kind === null || e.kind === kind);
    const taken = this.messages.filter(wanted);
    this.messages = this.messages.filter((envelope) => !wanted(envelope));
    for (const envelope of taken) {
      this.print(`${drop ? "dropped: " : ""}${envelope.text}\n`);
      if (drop) continue;
      const error = envelope.deliver(this.node(id));
      if (error !== null) this.print(`${error}\n`);
    }
    return taken.length;
  }

  private stabilizeCommand(args: readonly Argument[]): void {
    const level = value(args, "log-level");
    const before = this.quiet;
    if (level !== undefined) this.setLevel(level);
    const ids = args.filter((arg) => arg.values.length === 0).map((arg) => number(arg.key));
    this.stabilize(ids.length === 0 ? this.nodes : ids.map((id) => this.node(id)));
    this.quiet = before;
  }

  /** Effects of all nodes, then all deliveries, then the storage threads, until nothing moves. */
  private stabilize(nodes: readonly OracleNode[]): void {
    for (let round = 0; round < STABILIZE_ROUNDS_MAX; round++) {
      let moved = false;
      const section = (node: OracleNode, due: boolean, what: string, run: () => void): void => {
        if (!due) return;
        this.print(`> ${node.core.id} ${what}\n`);
        run();
        moved = true;
      };
      for (const node of nodes) {
        section(node, node.hasReady, "handling Ready", () => this.indented(() => this.processReady(node)));
      }
      for (const node of nodes) {
        const { id } = node.core;
        const due = this.messages.some((envelope) => envelope.to === id);
        section(node, due, "receiving messages", () => this.indented(() => this.deliver(id, null, false)));
      }
      for (const node of nodes) {
        section(node, node.appendWork.length > 0, "processing append thread", () => {
          while (node.appendWork.length > 0) this.indented(() => this.processAppend(node));
        });
      }
      for (const node of nodes) {
        section(node, node.applyWork.length > 0, "processing apply thread", () => {
          while (node.applyWork.length > 0) this.indented(() => this.processApply(node));
        });
      }
      if (!moved) return;
    }
    throw new CommandError(`nodes do not come to rest within ${STABILIZE_ROUNDS_MAX} rounds`);
  }

  private setLevel(name: string): void {
    if (!LEVELS.includes(name.toUpperCase()))
      throw new CommandError(`log levels must be either of [${LEVELS.join(" ")}]`);
    this.quiet = name.toUpperCase() === "NONE";
  }

  private printStates(): void {
    for (const { core } of this.nodes) {
      const voter = isVoter(core.config, core.id) ? "(Voter)" : "(Non-Voter)";
      this.print(`${core.id}: ${describeRole(core.role)} ${voter} Term:${core.term} Lead:${core.leader}\n`);
    }
  }

  private printStatus(id: number): void {
    const { core } = this.node(id);
    if (core.role === "leader") this.print(describeTracker(core.tracker));
  }

  private tick(id: number, count: number): void {
    for (let i = 0; i < count; i++) this.node(id).member.tick();
  }

  private propose(id: number, kind: EntryKind, data: Uint8Array): void {
    const proposal = new Message(MessageKind.Propose, id, id, 0);
    proposal.entries = [new Entry(0, 0, kind, data)];
    const error = step(this.node(id).core, proposal);
    if (error !== null) throw new CommandError(error);
  }

  private proposeConfChange(args: readonly Argument[], input: string): void {
    let v1 = false;
    let transition: ConfTransition = ConfTransition.Auto;
    for (const { key, values } of args.slice(1)) {
      if (key === "v1") v1 = boolean(values[0] ?? "");
      else if (key === "transition") transition = transitionOf(values[0] ?? "");
      else throw new CommandError(`unknown command ${key}`);
    }
    const changes = changesOf(input);
    if (v1 && (changes.length > 1 || transition !== ConfTransition.Auto)) {
      throw new CommandError("v1 conf change can only have one operation and no transition");
    }
    const change: ConfChange = { transition, changes, context: new Uint8Array(0) };
    const kind = v1 ? EntryKind.ConfChange : EntryKind.ConfChangeV2;
    this.propose(number(args[0]?.key), kind, encodeConfChange(change));
  }

  private sendSnapshot(from: number, to: number): void {
    const { core, history } = this.node(from);
    const message = new Message(MessageKind.Snapshot, from, to, core.term);
    message.snapshot = history.at(-1)?.meta ?? null;
    message.session = core.tracker.get(to)?.session ?? 0;
    const envelope = peerEnvelope(message);
    this.messages.push(envelope);
    this.print(envelope.text);
  }
}

/** A command that cannot be carried out; its message is output. */
class CommandError extends Error {}

function changesOf(text: string): ConfChange["changes"] {
  try {
    return parseChanges(text);
  } catch (error) {
    throw new CommandError((error as Error).message);
  }
}

function defaultOptions(): Mutable<RaftOptions> {
  return {
    id: 1,
    electionTicks: ELECTION_TICKS,
    heartbeatTicks: HEARTBEAT_TICKS,
    preVote: false,
    checkQuorum: false,
    appendBytesMax: NO_LIMIT,
    inflightMessagesMax: 2 ** 31 - 1,
    inflightBytesMax: NO_LIMIT,
    uncommittedBytesMax: NO_LIMIT,
    committedBytesMax: NO_LIMIT,
    readMode: "read-index",
    stepDownOnRemoval: false,
    confChangeValidation: true,
    random: () => 0,
  };
}

function setOption(options: Mutable<RaftOptions>, key: string, text: string): void {
  switch (key) {
    case "inflight":
      options.inflightMessagesMax = number(text);
      break;
    case "prevote":
      options.preVote = boolean(text);
      break;
    case "checkquorum":
      options.checkQuorum = boolean(text);
      break;
    case "max-committed-size-per-ready":
      options.committedBytesMax = number(text);
      break;
    case "disable-conf-change-validation":
      options.confChangeValidation = !boolean(text);
      break;
    case "step-down-on-removal":
      options.stepDownOnRemoval = boolean(text);
      break;
    case "read-only":
      if (text !== "safe" && text !== "lease-based")
        throw new CommandError(`invalid read-only option "${text}"`);
      options.readMode = text === "safe" ? "read-index" : "lease";
      options.lease = { nowMs: () => 0, durationMs: 1 };
      break;
    default:
      // Other settings have no meaning in the grammar and are passed over, as in the original.
      break;
  }
}

function value(args: readonly Argument[], key: string): string | undefined {
  return args.find((arg) => arg.key === key)?.values[0];
}

function number(text: string | undefined): number {
  const result = Number(text);
  if (text === undefined || text === "" || !Number.isSafeInteger(result) || result < 0) {
    throw new SyntaxError(`expected a number, but got ${text ?? "nothing"}`);
  }
  return result;
}

function boolean(text: string): boolean {
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw new SyntaxError(`expected true or false, but got ${text}`);
}

function messageKind(name: string): string {
  if (!KINDS.has(name)) throw new SyntaxError(`unknown message type ${name}`);
  return name;
}

function transitionOf(name: string): ConfTransition {
  switch (name) {
    case "auto":
      return ConfTransition.Auto;
    case "implicit":
      return ConfTransition.JointImplicit;
    case "explicit":
      return ConfTransition.JointExplicit;
    default:
      throw new CommandError(`unknown transition ${name}`);
  }
}
