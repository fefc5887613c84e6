import type { RaftOptions } from "./api.js";
import { EMPTY_CONFIG, type Config, describeConfig } from "./conf/config.js";
import { restoreConfig } from "./conf/restore.js";
import type { ProgressSettings } from "./conf/changer.js";
import type { DropReason, DurableState, ReadReady, Role, RoleChange } from "./effects.js";
import { broken } from "./invariant.js";
import { RaftLog } from "./log/raft-log.js";
import { Message, MessageKind } from "./message.js";
import { mutant } from "./mutants.js";
import { Progress } from "./progress/progress.js";
import { Tracker } from "./progress/tracker.js";
import {
  type CoreMode,
  type ForwardedRead,
  LeaderState,
  type OutstandingBatch,
  type TransferEnd,
  type TransferWatch,
} from "./state.js";
import { type HardState, type Index, NONE, type RaftId, type SnapshotMeta, type Term } from "./types.js";

/**
 * The state of one member and the transitions that all roles share. What a role does with a message is in `roles/`, as
 * functions on this class; the public face is `RaftMember` (member.ts).
 */
export class Core {
  readonly id: RaftId;
  term: Term;
  vote: RaftId;
  role: Role = "follower";
  leader: RaftId = NONE;
  /** Who was seen to lead this term. Two of them in one term end the node (raft.md 2.13, 7). */
  leaderOfTerm: RaftId = NONE;
  log: RaftLog;
  config: Config = EMPTY_CONFIG;
  tracker: Tracker = new Tracker();
  /** Index of the entry that introduced `config`. */
  confIndex: Index = 0;
  /** Configuration changes handed out for application and not yet applied, oldest first. */
  confEntries: Index[] = [];
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** Election timeout of this role, drawn anew at each change of role. */
  randomizedTicks = 0;
  /** Ticks during which votes are refused after a restart, because a lease may lean on an earlier promise. */
  graceTicks = 0;
  /** Votes of a candidate or pre-candidate. */
  votes = new Map<RaftId, boolean>();
  /** Not null exactly while leader. */
  lead: LeaderState | null = null;
  forwardedReads: ForwardedRead[] = [];
  /** How much of its log the leader of this term has on its disk, and under which configuration it said so. */
  leaderDurable: { readonly index: Index; readonly confIndex: Index } | null = null;
  transferWatch: TransferWatch | null = null;
  snapshotOffer: SnapshotMeta | null = null;

  messages: Message[] = [];
  afterMessages: Message[] = [];
  outstanding: OutstandingBatch[] = [];
  seq = 0;
  ackedSeq = 0;
  handedHardState: HardState;
  handedRole: RoleChange;
  reads: ReadReady[] = [];
  failedReads: { readonly request: number; readonly reason: DropReason }[] = [];
  transferEnded: TransferEnd | null = null;

  constructor(
    readonly options: RaftOptions,
    durable: DurableState,
    readonly mode: CoreMode,
  ) {
    this.id = options.id;
    this.log = new RaftLog(
      durable.snapshotIndex,
      durable.snapshotTerm,
      durable.entries,
      options.committedBytesMax,
    );
    const restored = restoreConfig(durable.confState, this.log.last, this.progressSettings());
    this.config = restored.config;
    this.tracker = restored.tracker;
    this.confIndex = durable.confIndex ?? durable.appliedIndex;
    this.term = durable.hardState.term;
    this.vote = mutant.voteForgottenAtRestart ? NONE : durable.hardState.vote;
    this.restoreBoundaries(durable);
    this.trace(`switched to configuration ${describeConfig(this.config)}`);
    if (options.readMode === "lease" && this.term > 0) this.graceTicks = options.electionTicks;
    this.becomeFollower(this.term, NONE);
    this.handedHardState = this.hardState();
    this.handedRole = this.roleChange();
  }

  /** The persisted commit index is a hint: never trusted beyond the log, never below what is applied (lesson L25). */
  private restoreBoundaries(durable: DurableState): void {
    const { log } = this;
    const applied = Math.max(durable.appliedIndex, durable.snapshotIndex);
    if (applied > log.last) broken("applied state covered by the log", applied, log.last);
    // A group may be bootstrapped from a snapshot alone, before any term was stored.
    if (log.last > log.base && durable.hardState.term < log.lastTerm) {
      broken("stored term at least that of the last entry", durable.hardState.term, log.lastTerm);
    }
    log.commitTo(Math.max(applied, Math.min(durable.hardState.commit, log.last)));
    log.applied = applied;
    log.applying = applied;
  }

  progressSettings(): ProgressSettings {
    return {
      inflightMessagesMax: this.options.inflightMessagesMax,
      inflightBytesMax: this.options.inflightBytesMax,
      session: this.lead === null ? 0 : this.lead.sessions,
    };
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  roleChange(): RoleChange {
    return { role: this.role, term: this.term, leader: this.leader };
  }

  trace(line: string): void {
    if (this.options.trace !== undefined) this.options.trace(`${this.id} ${line}`);
  }

  /**
   * Queues a message. Answers that stand for what this member has stored wait for its disk, rejections included, and so
   * do requests for votes: they advertise the end of the log (lessons L18, L20, L21; raft.md 2.3 rule 1).
   */
  send(message: Message): void {
    switch (message.kind) {
      case MessageKind.AppendResponse:
        if (mutant.ackBeforeDurable && message.to !== this.id) break;
        this.afterMessages.push(message);
        return;
      case MessageKind.VoteResponse:
      case MessageKind.PreVoteResponse:
        if (mutant.voteBeforeDurable && message.to !== this.id) break;
        this.afterMessages.push(message);
        return;
      case MessageKind.Vote:
      case MessageKind.PreVote:
        if (this.mode.voteRequestsAtOnce || mutant.voteRequestBeforeDurable) break;
        this.afterMessages.push(message);
        return;
      default:
        break;
    }
    if (message.to === this.id)
      broken("no message to oneself outside the persist batch", message.kind, message.to);
    this.messages.push(message);
  }

  /** A message of the present term. */
  message(kind: MessageKind, to: RaftId): Message {
    return new Message(kind, this.id, to, this.term);
  }

  // Transitions between roles.

  /** Starts a term or a role with a clean slate; what only leaders have is settled and gone. */
  private reset(term: Term): void {
    if (term < this.term) broken("term never falls", term, this.term);
    if (this.term !== term) {
      this.term = term;
      this.vote = NONE;
      this.leaderOfTerm = NONE;
    }
    this.leader = NONE;
    this.leaderDurable = null;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawTimeout();
    this.endLeadership();
    this.failForwardedReads("leadership-lost");
    this.votes = new Map();
    const { inflightMessagesMax, inflightBytesMax } = this.options;
    const { ids, items } = this.tracker;
    const next = this.log.last + 1;
    for (let i = 0; i < ids.length; i++) {
      const old = items[i] as Progress;
      const fresh = new Progress(next, old.isLearner, 0, inflightMessagesMax, inflightBytesMax);
      if (ids[i] === this.id) fresh.match = this.log.durable;
      items[i] = fresh;
    }
  }

  drawTimeout(): void {
    const { electionTicks } = this.options;
    this.randomizedTicks = electionTicks + this.options.random(electionTicks);
  }

  /** Settles what waited for this leadership: reads fail with a reason, a transfer is watched until it is known. */
  private endLeadership(): void {
    const lead = this.lead;
    if (lead === null) return;
    this.lead = null;
    if (!mutant.readsSurviveStepDown) {
      for (const { from, request } of lead.reads.takeAll()) this.refuseRead(from, request, "leadership-lost");
    }
    if (lead.transfer !== null) {
      this.transferWatch = { target: lead.transfer.target, ticksLeft: 2 * this.options.electionTicks };
      if (mutant.transferFlagKept) this.keptTransfer = lead.transfer;
    }
  }

  /** Only for a mutant: a transfer that outlives its leadership. */
  keptTransfer: LeaderState["transfer"] = null;

  refuseRead(from: RaftId, request: number, reason: DropReason): void {
    if (from === this.id) {
      this.failedReads.push({ request, reason });
      return;
    }
    const refusal = this.message(MessageKind.ReadIndexResponse, from);
    refusal.readRequest = request;
    refusal.reject = true;
    this.send(refusal);
  }

  failForwardedReads(reason: DropReason): void {
    if (this.forwardedReads.length === 0) return;
    for (const { request } of this.forwardedReads) this.failedReads.push({ request, reason });
    this.forwardedReads = [];
  }

  becomeFollower(term: Term, leader: RaftId): void {
    this.reset(term);
    this.role = "follower";
    if (leader !== NONE) this.setLeader(leader);
    this.trace(`became follower at term ${this.term}`);
  }

  becomeCandidate(): void {
    if (this.role === "leader") broken("no leader becomes candidate", this.id, this.term);
    this.reset(this.term + 1);
    this.vote = this.id;
    this.role = "candidate";
    this.trace(`became candidate at term ${this.term}`);
  }

  /** Changes neither term nor vote; forgets the leader, or its lease would refuse the votes of others (lesson L2). */
  becomePreCandidate(): void {
    if (this.role === "leader") broken("no leader becomes pre-candidate", this.id, this.term);
    this.votes = new Map();
    if (!mutant.preCandidateKeepsLeader) this.leader = NONE;
    this.failForwardedReads("leadership-lost");
    this.role = "pre-candidate";
    this.trace(`became pre-candidate at term ${this.term}`);
  }

  becomeLeaderState(): LeaderState {
    if (this.role === "follower") broken("no follower becomes leader", this.id, this.term);
    this.reset(this.term);
    const lead = new LeaderState();
    if (this.keptTransfer !== null) {
      lead.transfer = this.keptTransfer;
      this.keptTransfer = null;
    }
    this.lead = lead;
    this.role = "leader";
    this.setLeader(this.id);
    const own = this.tracker.get(this.id);
    if (own !== undefined) {
      own.becomeReplicate();
      own.recentActive = true;
    }
    return lead;
  }

  /** A leader of the present term is known. */
  setLeader(leader: RaftId): void {
    if (this.leaderOfTerm !== NONE && this.leaderOfTerm !== leader) {
      broken("one leader in a term", this.leaderOfTerm, leader);
    }
    this.leaderOfTerm = leader;
    this.leader = leader;
    const watch = this.transferWatch;
    if (watch !== null) {
      this.transferWatch = null;
      this.transferEnded = {
        target: watch.target,
        reason: watch.target === leader ? null : "leadership-lost",
      };
    }
  }

  /** Whether this member may campaign: a voter by its own configuration, with no snapshot to be installed. */
  get promotable(): boolean {
    const own = this.tracker.get(this.id);
    return own !== undefined && !own.isLearner && this.log.snapshot === null;
  }
}
