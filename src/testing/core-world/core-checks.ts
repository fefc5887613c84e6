import {
  type ConfState,
  type Entry,
  EntryKind,
  type Message,
  MessageKind,
  NO_LIMIT,
  type PersistBatch,
  payloadBytes,
  type RaftStatus,
} from "../../raft/index.js";
import {
  AckCoverage,
  CommittedLedger,
  type DiskView,
  diskHolds,
  DurableCommit,
  DurableVote,
  EffectContract,
  ElectionSafety,
  FlowControl,
  LeaderCompleteness,
  LogMatching,
  Monotone,
  RegisterOracle,
  StateDigest,
  StateMachineSafety,
} from "../checkers/index.js";
import { type Simulation, Violation } from "../sim/simulation.js";
import type { CoreNode } from "./core-node.js";
import { decodeWrite, entryHash, type RegisterState } from "./register-state.js";

/** No proposal of the clients or the operator is larger. */
const LARGEST_ENTRY_BYTES = 600;

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
  private readonly coverage = new AckCoverage();
  private readonly votes = new DurableVote();
  private readonly flow = new FlowControl();
  private readonly commitOf = new Map<number, number>();
  private readonly leadsTerm = new Map<number, number>();
  /** What each member was told last of its leader's disk. */
  private readonly told = new Map<number, Message>();

  constructor(
    private readonly sim: Simulation,
    private readonly disk: (id: number) => DiskView | null,
  ) {}

  leaving(node: CoreNode, message: Message): void {
    this.contract.leaves(message, node.disk);
    this.coverage.leaves(message, node.member?.status().commit ?? 0);
  }

  restored(node: CoreNode): void {
    this.machines.restored(node.id, node.state.index);
    this.digests.observe(node.id, node.state.index, node.state.digest);
    if (node.fresh) {
      this.monotone.restarted(node.id);
      this.votes.restarted(node.id, node.disk);
    }
    this.commitOf.delete(node.id);
    this.leadsTerm.delete(node.id);
  }

  logged(node: CoreNode, batch: PersistBatch): void {
    const { entries, hardState } = batch;
    if (hardState !== null) this.votes.stores(node.id, hardState.term, hardState.vote);
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
      if (!diskHolds(node.disk, entry.index, entry.term)) {
        throw new Violation(
          "effect contract",
          `member ${node.id} is to apply ${entry.index}, which its disk lacks`,
        );
      }
      const inTerm = node.member?.status().term ?? entry.term;
      const isNew = this.ledger.committed(node.id, entry.index, entry.term, entryHash(entry), inTerm);
      if (!isNew) continue;
      this.byTwo(node, entry);
      this.sim.trace.event(this.sim.nowUs, "committed", node.id, entry.index, entry.term, entry.kind);
      const write = decodeWrite(entry);
      if (write !== null) this.oracle.logged(write.key, write.serial, entry.index);
    }
  }

  /**
   * A follower that was told of its leader's disk and hands an entry out before its leader is seen to commit it: the disks
   * of both hold it. Its own was asked already.
   */
  private byTwo(node: CoreNode, entry: Entry): void {
    const told = this.told.get(node.id);
    const status = node.member?.status();
    if (told === undefined || status?.role !== "follower" || told.term !== status.term) return;
    if (told.index < entry.index || (this.commitOf.get(told.from) ?? 0) >= entry.index) return;
    this.sim.tally.situation("committed by a follower before its leader");
    const disk = this.disk(told.from);
    if (disk !== null && !disk.everHeld(entry.index, entry.term))
      throw new Violation(
        "committed on a durable quorum",
        `member ${node.id} commits ${entry.term}/${entry.index}, which was never on the disk of its leader ${told.from}`,
      );
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
    this.flowOf(node, status);
    const fresh = this.leadsTerm.get(node.id) !== status.term;
    this.leadsTerm.set(node.id, status.term);
    const before = this.commitOf.get(node.id) ?? 0;
    this.commitOf.set(node.id, status.commit);
    if (status.commit <= before) return;
    // What is committed below the log of this member was committed, and checked, before it was compacted.
    if (status.commit < status.firstIndex) return;
    const term = (member.entries(status.commit, status.commit, 0)[0] as Entry).term;
    if (term !== status.term) {
      // What it knew to be committed when it was elected, it knew as follower.
      if (fresh) return;
      throw new Violation(
        "commit of the own term",
        `leader ${node.id} of term ${status.term} moved commit to ${status.commit}, an entry of term ${term}`,
      );
    }
    this.durable.advanced(node.id, status.commit, term, status.config, this.disk);
  }

  private flowOf(node: CoreNode, status: RaftStatus): void {
    const { settings } = node;
    const largest = Math.max(
      settings.appendBytesMax === NO_LIMIT ? 0 : settings.appendBytesMax,
      LARGEST_ENTRY_BYTES,
    );
    for (const peer of status.progress) this.flow.window(node.id, peer, settings, largest);
    if (settings.uncommittedBytesMax >= NO_LIMIT || status.lastIndex <= status.commit) return;
    const from = Math.max(status.commit + 1, status.firstIndex);
    const tail = node.member?.entries(from, status.lastIndex, NO_LIMIT) ?? [];
    const own = tail.filter((entry) => entry.term === status.term && entry.kind === EntryKind.Normal);
    this.flow.uncommitted(node.id, payloadBytes(own), settings, LARGEST_ENTRY_BYTES);
  }

  /** A candidacy begins: not over membership changes that are committed and not applied (lesson L32). */
  campaigns(node: CoreNode): void {
    const status = node.member?.status();
    if (status === undefined) return;
    const from = Math.max(status.applied + 1, status.firstIndex);
    if (from > status.commit) return;
    for (const entry of node.member?.entries(from, status.commit, NO_LIMIT) ?? []) {
      if (entry.kind === EntryKind.Normal) continue;
      throw new Violation(
        "no campaign over changes",
        `member ${node.id} campaigns with ${entry.index} to be applied`,
      );
    }
  }

  elected(node: CoreNode, term: number): void {
    const member = node.member;
    if (member === null) return;
    const status = member.status();
    this.elections.leads(node.id, term);
    this.votes.elected(node.id, term, status.config, this.disk);
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
    if (status.lastIndex > status.commit + 1)
      this.sim.tally.situation("leader elected over an uncommitted tail");
  }

  delivered(message: Message): void {
    const { tally } = this.sim;
    this.coverage.delivered(message);
    this.contract.delivered(message);
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
      case MessageKind.Durable:
        this.told.set(message.to, message);
        return;
      case MessageKind.ReadIndex:
        tally.situation("read forwarded to the leader");
        return;
      default:
        return;
    }
  }
}
