import {
  EMPTY_CONF_STATE,
  type ConfState,
  type Effects,
  Message,
  MessageKind,
  NO_LIMIT,
  type RaftOptions,
} from "../../raft/index.js";
import { CALM, SimNetwork } from "../sim/network.js";
import { SimClock, Simulation, Violation } from "../sim/index.js";
import { CoreChecks } from "./core-checks.js";
import { CoreClient, type RegisterHistory } from "./core-client.js";
import { CoreDisk, SOUND_DISK } from "./core-disk.js";
import { CoreFaults } from "./core-faults.js";
import { CoreNode, type NodeEvents, type Packet } from "./core-node.js";
import { CoreOperator } from "./core-operator.js";
import { drawExtraFaults, NO_EXTRA_FAULTS } from "./extra-faults.js";
import { ExtraInjector } from "./extra-injector.js";
import { emptyState, type RegisterState } from "./register-state.js";
import { type CoreSettings, drawSettings } from "./swarm.js";

/** A read on a healed group that takes longer than this was forgotten. */
const READ_PATIENCE_US = 3_000_000;

/** Virtual time within which a healed group must have converged. */
export const LIVENESS_BOUND_US = 30_000_000;

/**
 * The consensus core under simulation: members on simulated disks and clocks, a network, clients, an operator, faults,
 * and all checkers. The shell around the core is `CoreNode`; everything else of the product stays out, which makes it
 * fast enough for thousands of seeds.
 */
export class CoreWorld implements NodeEvents {
  readonly sim: Simulation;
  readonly settings: CoreSettings;
  readonly checks: CoreChecks;
  readonly network: SimNetwork<Packet>;
  readonly history: RegisterHistory[] = [];
  readonly openWrites = new Map<number, RegisterHistory>();
  private readonly members = new Map<number, CoreNode>();
  private readonly faults: CoreFaults;
  private readonly operator: CoreOperator;
  private readonly extras: ExtraInjector;
  private readonly crashPrng;
  private readonly hintPrng;
  /** The latest acknowledgements of each member. */
  private readonly acknowledgements = new Map<number, Packet[]>();
  private serial = 0;
  hostile = true;
  working = true;

  /** Without the extra faults a seed replays as it did before they existed. */
  constructor(seed: number, withExtraFaults = true) {
    this.sim = new Simulation(seed);
    const { seeds } = this.sim;
    const extra = withExtraFaults ? drawExtraFaults(seeds.stream("extra faults")) : NO_EXTRA_FAULTS;
    const drawn = drawSettings(seeds.stream("swarm"));
    const { noticeMaxUs, tornWriteRate } = extra;
    this.settings = {
      ...drawn,
      extra,
      voters: extra.voters || drawn.voters,
      disk: { ...drawn.disk, noticeMaxUs, tornWriteRate },
    };
    this.network = new SimNetwork(this.sim, seeds.stream("network"), (from, to, packet) =>
      this.arrive(from, to, packet),
    );
    this.network.faults = this.settings.network;
    this.checks = new CoreChecks(this.sim, (id) => this.members.get(id)?.disk ?? null);
    this.crashPrng = seeds.stream("crash between effects");
    this.faults = new CoreFaults(this, seeds.stream("faults"));
    this.operator = new CoreOperator(this, seeds.stream("operator"));
    this.extras = new ExtraInjector(this, seeds.stream("extra injector"));
    this.hintPrng = seeds.stream("hints");
    this.bootstrap();
  }

  get oracle(): CoreChecks["oracle"] {
    return this.checks.oracle;
  }

  nextSerial(): number {
    return ++this.serial;
  }

  nodes(): readonly CoreNode[] {
    return [...this.members.values()];
  }

  node(id: number): CoreNode | undefined {
    return this.members.get(id);
  }

  /** All first members start from one snapshot: state at `startIndex` in term 1. */
  private bootstrap(): void {
    const { voters, learners, startIndex } = this.settings;
    const ids = Array.from({ length: voters + learners }, (_, i) => i + 1);
    const confState: ConfState = {
      ...EMPTY_CONF_STATE,
      voters: ids.slice(0, voters),
      learners: ids.slice(voters),
    };
    for (const id of ids) {
      this.makeNode(id, { ...emptyState(), index: startIndex, term: 1, confState, confIndex: startIndex });
    }
    this.sim.tally.situation(`group of ${voters}`);
    this.noteSettings(ids);
  }

  private noteSettings(ids: readonly number[]): void {
    const { settings, sim } = this;
    const note = (holds: boolean, name: string): void => {
      if (holds) sim.tally.situation(`setting: ${name}`);
    };
    note(settings.startIndex > 2 ** 52, "indices near 2^53");
    note(settings.startIndex > 2 ** 30 && settings.startIndex < 2 ** 32, "indices beyond 2^31");
    note(settings.inflightMessagesMax === 1, "window of one message");
    note(settings.inflightBytesMax <= 100, "window of few bytes");
    note(settings.appendBytesMax <= 1, "one entry an append");
    note(settings.readMode === "lease", "lease reads");
    note(new Set(ids.map(settings.preVote)).size > 1, "members with different settings");
    note(settings.compactEvery <= 4 && settings.logKept <= 1, "log forgotten after every few entries");
    note(settings.committedBytesMax === 1, "apply one entry at a time");
  }

  private makeNode(id: number, state: RegisterState): CoreNode {
    const { sim, settings } = this;
    const clockPrng = sim.seeds.stream(`clock ${id}`);
    const rate = 1 + settings.driftMax * (2 * clockPrng.fraction() - 1);
    const clock = new SimClock(sim, rate, clockPrng.below(1_000_000));
    const disk = new CoreDisk(sim, sim.seeds.stream(`disk ${id}`), state);
    disk.faults = settings.disk;
    if (state.term > 0) disk.hardState = { term: state.term, vote: 0, commit: state.index };
    const node = new CoreNode(
      id,
      sim,
      clock,
      disk,
      sim.seeds.stream(`node ${id}`),
      settings,
      this.raftOptions(id, clock),
      this,
    );
    this.members.set(id, node);
    sim.after(clockPrng.below(50_000), () => node.start());
    return node;
  }

  private raftOptions(id: number, clock: SimClock): RaftOptions {
    const { settings } = this;
    const prng = this.sim.seeds.stream(`core ${id}`);
    // One tick for the phase of the others' timers, and twice the drift between any two clocks.
    const leaseMs = (settings.electionTicks - 1) * settings.tickMs * (1 - 4 * settings.driftMax);
    return {
      id,
      electionTicks: settings.electionTicks,
      heartbeatTicks: settings.heartbeatTicks,
      preVote: settings.preVote(id),
      checkQuorum: settings.checkQuorum(id),
      appendBytesMax: settings.appendBytesMax,
      inflightMessagesMax: settings.inflightMessagesMax,
      inflightBytesMax: settings.inflightBytesMax,
      uncommittedBytesMax: settings.uncommittedBytesMax,
      committedBytesMax: settings.committedBytesMax,
      readMode: settings.readMode,
      ...(settings.readMode === "lease"
        ? { lease: { nowMs: () => clock.monotonicMs(), durationMs: leaseMs } }
        : {}),
      stepDownOnRemoval: true,
      confChangeValidation: true,
      random: (bound) => prng.below(bound),
    };
  }

  addNode(): CoreNode {
    return this.makeNode(Math.max(...this.members.keys()) + 1, emptyState());
  }

  /**
   * At most one lost disk at a time among the members, in a group that survives it: also in the configuration that is
   * still on its way through the log. A removal that was proposed before and takes effect after would leave two voters,
   * and one of them lost.
   */
  mayWipe(node: CoreNode): boolean {
    if (this.changeUnderWay()) return false;
    for (const other of this.members.values()) {
      const config = other.state.confState;
      if (config.votersOutgoing.length > 0) return false;
      if (config.voters.includes(node.id) && config.voters.length < 3) return false;
      for (const id of [...config.voters, ...config.learners]) if (this.members.get(id)?.doomed) return false;
    }
    return true;
  }

  /** Until somebody has applied what came to stand there, a change may still be in a log or on the network. */
  private changeUnderWay(): boolean {
    let proposedAt = 0;
    let appliedTo = 0;
    for (const { changeProposedAt, state } of this.members.values()) {
      proposedAt = Math.max(proposedAt, changeProposedAt);
      appliedTo = Math.max(appliedTo, state.index);
    }
    return proposedAt > appliedTo;
  }

  // NodeEvents

  send(node: CoreNode, message: Message, state: RegisterState | null): void {
    this.checks.leaving(node, message);
    const packet = {
      message: this.asOtherVersion(node, message),
      state,
      life: node.life,
      incarnation: this.members.get(message.to)?.incarnation ?? 0,
    };
    if (message.kind === MessageKind.AppendResponse && !message.reject) this.remember(packet);
    this.network.send(node.id, message.to, packet);
  }

  /** What a member of another version might send in its place: as true, and less to the point. */
  private asOtherVersion(node: CoreNode, message: Message): Message {
    if (!this.hostile) return message;
    if (message.kind === MessageKind.Append) return this.backward(node, message);
    if (message.kind === MessageKind.AppendResponse && message.reject) return this.blunted(message);
    return message;
  }

  /**
   * An append may be any piece of its leader's log. One that ends before the logs part leaves a follower with a tail
   * that the append says nothing about (lesson L10).
   */
  private backward(node: CoreNode, message: Message): Message {
    const { backwardAppendRate } = this.settings.extra;
    if (backwardAppendRate === 0 || !this.hintPrng.chance(backwardAppendRate)) return message;
    const status = node.member?.status();
    if (status === undefined || status.role !== "leader" || status.term !== message.term) return message;
    const back = this.hintPrng.between(1, 4);
    const index = message.index - back;
    if (index < status.firstIndex) return message;
    const [previous, ...entries] =
      node.member?.entries(index, index + this.hintPrng.between(1, back), NO_LIMIT) ?? [];
    this.sim.tally.fault("append from further back");
    return altered(message, { index, logTerm: previous?.term ?? 0, entries });
  }

  /** A rejection may name any lower place where the logs could agree. */
  private blunted(message: Message): Message {
    const { bluntHintRate } = this.settings.extra;
    if (bluntHintRate === 0 || message.rejectHint === 0) return message;
    if (!this.hintPrng.chance(bluntHintRate)) return message;
    this.sim.tally.fault("rejection with a lower hint");
    const rejectHint = Math.max(0, message.rejectHint - this.hintPrng.between(1, 4));
    return altered(message, { rejectHint, logTerm: 0 });
  }

  private remember(packet: Packet): void {
    const { from } = packet.message;
    const latest = this.acknowledgements.get(from);
    if (latest === undefined) this.acknowledgements.set(from, [packet]);
    else if (latest.push(packet) > 8) latest.shift();
  }

  replayAcknowledgements(id: number): void {
    for (const packet of this.acknowledgements.get(id) ?? []) {
      this.sim.tally.fault("acknowledgement of a former membership replayed");
      const { to } = packet.message;
      this.sim.after(this.hintPrng.below(100_000), () => this.arrive(id, to, packet));
    }
  }

  private arrive(from: number, to: number, packet: Packet): void {
    const node = this.members.get(to);
    if (node === undefined || node.wiped || !node.running) return;
    if (node.incarnation !== packet.incarnation) {
      this.sim.tally.situation("message to a former incarnation refused");
      return;
    }
    const sender = this.members.get(from) as CoreNode;
    if (sender.life !== packet.life) this.sim.tally.situation("message from an earlier life delivered");
    const { message } = packet;
    this.sim.trace.event(
      this.sim.nowUs,
      "delivered",
      from * 64 + to,
      message.kind,
      message.term,
      message.index,
    );
    this.checks.delivered(message);
    node.receive(packet);
  }

  afterTurn(node: CoreNode, effects: Effects | null): void {
    this.checks.turn(node);
    if (effects === null) return;
    const { role, transferEnded } = effects;
    if (role !== null) {
      this.sim.trace.event(this.sim.nowUs, role.role, node.id, role.term, role.leader, node.life);
      // With turns in common a refusal may have told of commits since: the core itself asserts when it campaigns.
      const campaigns = role.role === "candidate" || role.role === "pre-candidate";
      if (campaigns && this.settings.extra.turnMaxUs === 0) this.checks.campaigns(node);
      if (role.role === "leader") this.checks.elected(node, role.term);
    }
    if (transferEnded !== null) {
      this.sim.tally.situation(`transfer ended: ${transferEnded.reason ?? "done"}`);
    }
  }

  logged: NodeEvents["logged"] = (node, batch) => this.checks.logged(node, batch);
  committed: NodeEvents["committed"] = (node, entries) => this.checks.committed(node, entries);
  applied: NodeEvents["applied"] = (node, entry, state) => this.checks.applied(node, entry, state);
  restored: NodeEvents["restored"] = (node) => this.checks.restored(node);

  crashHere(node: CoreNode): boolean {
    const { crashBetweenRate } = this.settings;
    if (!this.hostile || crashBetweenRate === 0 || !this.crashPrng.chance(crashBetweenRate)) return false;
    this.sim.tally.fault("crash between two effects");
    node.crash(this.crashPrng.chance(0.3));
    this.faults.restartLater(node);
    return true;
  }

  stopped(node: CoreNode): void {
    node.crash(false);
    this.faults.restartLater(node);
  }

  // Phases

  /** Faults and work, then only work on a healed group. Throws a Violation, or whatever the core asserts. */
  run(): void {
    this.faults.start();
    this.operator.start();
    this.extras.start();
    const { clients, safetyUs } = this.settings;
    for (let i = 1; i <= clients; i++) {
      new CoreClient(i, this, this.sim.seeds.stream(`client ${i}`)).start();
    }
    this.sim.runUntil(safetyUs);
    this.heal();
    this.converge();
    this.history.push(...this.openWrites.values());
    this.oracle.finish(this.leader()?.state.index ?? 0);
  }

  private heal(): void {
    this.hostile = false;
    this.network.faults = CALM;
    this.network.heal();
    const { settings } = this;
    settings.snapshotFailRate = 0;
    settings.slowApplyRate = 0;
    settings.crashBetweenRate = 0;
    for (const node of this.members.values()) {
      node.disk.faults = SOUND_DISK;
      node.disk.hungUntilUs = 0;
      node.disk.fullUntilUs = 0;
      node.clock.setRate(1);
      node.pause(false);
      node.start();
    }
  }

  private converge(): void {
    const { sim } = this;
    const deadline = sim.nowUs + LIVENESS_BOUND_US;
    const begun = sim.nowUs;
    const writesBefore = this.oracle.acknowledgedWrites;
    const readsBefore = this.oracle.answeredReads;
    let why = "";
    while (sim.nowUs < deadline) {
      sim.runUntil(sim.nowUs + 250_000);
      this.retireOutsiders();
      const progress =
        this.oracle.acknowledgedWrites - writesBefore >= 3 && this.oracle.answeredReads - readsBefore >= 3;
      this.working = !progress;
      why = progress ? this.disagreement() : "no three fresh writes and reads were answered";
      if (why === "") {
        sim.tally.situation("converged after the faults");
        sim.trace.event(sim.nowUs, "converged", 0, sim.nowUs - begun, 0, 0);
        return;
      }
    }
    throw new Violation("liveness", `after ${LIVENESS_BOUND_US / 1e6} s without faults: ${why}`);
  }

  private leader(): CoreNode | null {
    let best: CoreNode | null = null;
    let bestTerm = 0;
    for (const node of this.members.values()) {
      const status = node.member?.status();
      if (status === undefined || status.role !== "leader" || status.term < bestTerm) continue;
      best = node;
      bestTerm = status.term;
    }
    return best;
  }

  /** An operator stops what is no longer a member, and leaves a joint configuration that waits for it. */
  private retireOutsiders(): void {
    const leader = this.leader();
    if (leader === null) return;
    const status = leader.member?.status();
    if (status === undefined || status.lastIndex !== status.applied) return;
    const { config } = status;
    if (config.votersOutgoing.length > 0) {
      if (!config.autoLeave) this.operator.leaveJoint(leader);
      return;
    }
    if (leader.state.index < this.checks.ledger.last) return;
    for (const node of this.members.values()) {
      if (config.voters.includes(node.id) || config.learners.includes(node.id)) node.start();
      else node.crash(true);
    }
  }

  /** Why the group has not converged yet; empty when it has. */
  private disagreement(): string {
    const leader = this.leader();
    const status = leader?.member?.status();
    if (leader === null || status === undefined) return "nobody leads";
    const { config } = status;
    if (config.votersOutgoing.length > 0) return "the configuration is still joint";
    for (const id of [...config.voters, ...config.learners]) {
      const node = this.members.get(id);
      if (node === undefined || node.wiped) continue;
      const other = node.member?.status();
      if (other === undefined) return `member ${id} does not run`;
      if (other.role === "leader" && id !== leader.id) return `members ${leader.id} and ${id} both lead`;
      if (other.term !== status.term)
        return `member ${id} is in term ${other.term}, the leader in ${status.term}`;
      if (node.state.index !== status.lastIndex) {
        return `member ${id} has applied ${node.state.index}, the leader's log ends at ${status.lastIndex}`;
      }
      if (node.oldestReadUs < this.sim.nowUs - READ_PATIENCE_US) return `a read at member ${id} never ends`;
      if (node.state.digest !== leader.state.digest) return `member ${id} has another state`;
    }
    return "";
  }
}

function altered(message: Message, changes: Partial<Message>): Message {
  const copy = new Message(message.kind, message.from, message.to, message.term);
  return Object.assign(copy, message, changes);
}
