import {
  type ConfState,
  type Entry,
  EntryKind,
  type Message,
  MessageKind,
  type PersistBatch,
} from "../../raft/index.js";
import {
  CommittedLedger,
  type DiskView,
  DurableCommit,
  EffectContract,
  ElectionSafety,
  LeaderCompleteness,
  LogMatching,
  Monotone,
  RegisterOracle,
  StateDigest,
  StateMachineSafety,
} from "../checkers/index.js";
import type { Simulation } from "../sim/simulation.js";
import type { CoreNode } from "./core-node.js";
import { decodeWrite, entryHash, type RegisterState } from "./register-state.js";

/** All checkers of the core, fed by what nodes do, after each step. */
export class CoreChecks {
  readonly oracle = new RegisterOracle();
  readonly ledger = new CommittedLedger();
  readonly elections = new ElectionSafety();
  private readonly logs = new LogMatching();
  private readonly completeness = new LeaderCompleteness(this.ledger);
  private readonly machines = new StateMachineSafety();
  private readonly digests = new StateDigest();
  private readonly monotone = new Monotone();
  private readonly durable = new DurableCommit();
  private readonly contract = new EffectContract();
  private readonly commitOf = new Map<number, number>();

  constructor(
    private readonly sim: Simulation,
    private readonly disk: (id: number) => DiskView | null,
  ) {}

  leaving(node: CoreNode, message: Message): void {
    this.contract.leaves(message, node.disk);
  }

  restored(node: CoreNode): void {
    this.machines.restored(node.id, node.state.index);
    this.digests.observe(node.id, node.state.index, node.state.digest);
    this.monotone.restarted(node.id);
    this.commitOf.delete(node.id);
  }

  logged(node: CoreNode, batch: PersistBatch): void {
    const { entries } = batch;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      const previous = i > 0 ? (entries[i - 1] as Entry).term : this.termBefore(node, entry.index);
      this.logs.entered(node.id, entry.index, entry.term, previous, entryHash(entry));
    }
  }

  private termBefore(node: CoreNode, index: number): number {
    const member = node.member;
    if (member === null) return -1;
    const { firstIndex } = member.status();
    if (index - 1 < firstIndex) return index - 1 === node.disk.snapshotIndex ? node.disk.snapshotTerm : -1;
    return (member.entries(index - 1, index - 1, 0)[0] as Entry).term;
  }

  committed(node: CoreNode, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const isNew = this.ledger.committed(node.id, entry.index, entry.term, entryHash(entry));
      if (!isNew) continue;
      this.sim.trace.event(this.sim.nowUs, "committed", node.id, entry.index, entry.term, entry.kind);
      const write = decodeWrite(entry);
      if (write !== null) this.oracle.logged(write.key, write.serial, entry.index);
    }
  }

  applied(node: CoreNode, entry: Entry, state: RegisterState): void {
    this.machines.applies(node.id, entry.index, entryHash(entry));
    this.digests.observe(node.id, state.index, state.digest);
    this.sim.trace.event(this.sim.nowUs, "applied", node.id, state.index, state.digest, 0);
    if (entry.kind !== EntryKind.Normal) {
      this.configured(state.confState);
      this.turn(node);
    }
  }

  private configured(config: ConfState): void {
    const { tally } = this.sim;
    if (config.votersOutgoing.length > 0) {
      tally.situation(
        config.autoLeave ? "joint configuration entered" : "explicit joint configuration entered",
      );
      if (config.learnersNext.length > 0) tally.situation("learners-next configured");
    } else if (config.voters.length === 1) tally.situation("single voter configured");
    if (config.learners.length > 0) tally.situation("learner configured");
  }

  /** After each turn. */
  turn(node: CoreNode): void {
    const member = node.member;
    if (member === null) return;
    const status = member.status();
    this.monotone.observe(node.id, status);
    if (status.role !== "leader") return;
    this.elections.leads(node.id, status.term);
    const before = this.commitOf.get(node.id) ?? 0;
    if (status.commit <= before) return;
    this.commitOf.set(node.id, status.commit);
    // What is committed below the log of this member was committed, and checked, before it was compacted.
    if (status.commit < status.firstIndex) return;
    const term = (member.entries(status.commit, status.commit, 0)[0] as Entry).term;
    // Commit of an earlier leader, learned as follower: checked there, under the configuration of then.
    if (term === status.term) {
      this.durable.advanced(node.id, status.commit, term, status.config, this.disk);
    }
  }

  elected(node: CoreNode, term: number): void {
    const member = node.member;
    if (member === null) return;
    const status = member.status();
    this.elections.leads(node.id, term);
    const held = status.lastIndex >= status.firstIndex;
    const entries = held ? member.entries(status.firstIndex, status.lastIndex, Number.MAX_SAFE_INTEGER) : [];
    this.completeness.elected(node.id, term, {
      firstIndex: status.firstIndex,
      lastIndex: status.lastIndex,
      termAt: (index) => entries[index - status.firstIndex]?.term ?? -1,
    });
    this.sim.tally.situation("leader elected");
    if (status.config.votersOutgoing.length > 0)
      this.sim.tally.situation("leader elected in a joint configuration");
    if (status.lastIndex > status.commit) this.sim.tally.situation("leader elected over an uncommitted tail");
  }

  delivered(message: Message): void {
    const { tally } = this.sim;
    switch (message.kind) {
      case MessageKind.AppendResponse:
        if (message.reject) tally.situation("append rejected");
        return;
      case MessageKind.PreVoteResponse:
        tally.situation(message.reject ? "pre-vote refused" : "pre-vote granted");
        return;
      case MessageKind.VoteResponse:
        tally.situation(message.reject ? "vote refused" : "vote granted");
        return;
      case MessageKind.TimeoutNow:
        tally.situation("transfer target told to campaign");
        return;
      case MessageKind.ReadIndex:
        tally.situation("read forwarded to the leader");
        return;
      default:
        return;
    }
  }
}
