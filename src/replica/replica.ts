import {
  type Entry,
  EntryKind,
  type Index,
  type Message,
  type RaftId,
  type RaftMember,
  type RoleChange,
} from "../raft/index.js";
import type { Clock, Log } from "../runtime/api.js";
import type { StateMachine, StateView } from "../state/index.js";
import type { Transport } from "../transport/api.js";
import { ErrorCode, errorDetail, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import type { LeaderInfo, MemberChange, ProposeOptions, Replica, ReplicaStatus } from "./api.js";
import { type ApplyHost, applyEntry } from "./apply.js";
import { ClusterTime } from "./cluster-time.js";
import type { ReplicaConfig } from "./config.js";
import { demiseOf } from "./demise.js";
import type { ReplicaDeps, Restored } from "./deps.js";
import { ElectionCause } from "./election-cause.js";
import { ElectionHint } from "./election-hint.js";
import { setGauges } from "./gauges.js";
import { Health } from "./health.js";
import { Leadership } from "./leadership.js";
import { LeaderDuties } from "./leader-duties.js";
import { overloaded, problemsOf, waitedFor } from "./problems.js";
import { PeerInbox } from "./peer-inbox.js";
import { peerTargets, rankAfter } from "./peers.js";
import { ProposalFlow } from "./proposal-flow.js";
import { outcomeUnknown, ProposalBook, type ProposalDone } from "./proposals.js";
import { ReadBarriers } from "./reads.js";
import { ReplicaEvents } from "./replica-events.js";
import { SnapshotInstaller } from "./snapshot-installer.js";
import { SnapshotReceiver, type StagedSnapshot } from "./snapshot-receiver.js";
import { SnapshotSender } from "./snapshot-sender.js";
import { type AppliedPosition, StateWriter, TermStarts } from "./state-writer.js";
import { Ticker } from "./ticker.js";
import { TurnLoop } from "./turn-loop.js";

/** How long a stopping member waits for answers to what it has taken. */
const SETTLE_MS = 500;
/** Gauges are set this often; counting more often would only cost. */
const TICKS_PER_MEASURE = 25;

/** One member: its core, its state, its disk and its links, driven by one loop of turns. */
export class ReplicaNode extends ReplicaEvents implements Replica, ApplyHost {
  readonly config: ReplicaConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly raft: RaftMember;
  readonly raftId: RaftId;
  readonly boot: number;
  readonly time = new ClusterTime();
  readonly book: ProposalBook;
  readonly terms: TermStarts;
  readonly position: AppliedPosition;
  private stateMachine: StateMachine;
  private readonly transport: Transport;
  private readonly installer: SnapshotInstaller;
  private readonly health: Health;
  private readonly flow: ProposalFlow;
  private readonly reads: ReadBarriers;
  private readonly turns: TurnLoop;
  private readonly writer: StateWriter;
  private readonly sender: SnapshotSender;
  private readonly receiver: SnapshotReceiver;
  private readonly hint: ElectionHint;
  private readonly duties: LeaderDuties;
  private readonly ticker: Ticker;
  private readonly leadership: Leadership;
  private readonly inbox: PeerInbox;
  private role: LeaderInfo = { isLeader: false, term: 0, leaderId: 0, ready: false };
  private readonly election = new ElectionCause();
  private ticks = 0;
  private stopping = false;
  private dead: string | null = null;

  constructor(
    private readonly deps: ReplicaDeps,
    restored: Restored,
  ) {
    super();
    const { runtime, config, storage } = deps;
    this.config = config;
    this.clock = runtime.clock;
    this.log = runtime.log.child({ part: "replica", node: config.name });
    this.raft = restored.raft;
    this.raftId = config.raftId;
    this.boot = 1 + runtime.random.below(2 ** 32) * 2 ** 20 + runtime.random.below(2 ** 20);
    this.reads = new ReadBarriers(this.boot);
    this.stateMachine = restored.machine;
    this.position = restored.position;
    this.terms = restored.terms;
    this.time.reset((restored.machine.cluster().clusterTimeMs as number | null | undefined) ?? 0);
    this.book = new ProposalBook(config.pendingProposalsMax, config.pendingBytesMax);
    this.health = new Health(config, this.log, () => storage.oldestPendingSyncMs());
    this.inbox = new PeerInbox({
      log: this.log,
      stopped: () => this.dead !== null,
      step: (message) => this.raft.step(message),
      forward: (from, forward) => this.flow.received(from, forward),
      forwardRefused: (refused) => this.flow.refusedByLeader(refused),
      other: (from, frame) => this.frameListeners.emit(from, frame),
      disconnected: (peer) => this.peerLost(peer),
      snapshot: (from, first) => (this.stopping ? null : this.receiver.begin(from, first)),
      schedule: () => this.turns.schedule(),
      turnNow: () => this.turns.scheduleNow(),
    });
    this.flow = new ProposalFlow({
      config,
      clock: this.clock,
      raft: this.raft,
      boot: this.boot,
      time: this.time,
      book: this.book,
      info: () => this.role,
      isConnected: (peer) => this.inbox.isConnected(peer),
      send: (to, frame) => this.transport.send(to, frame),
      diskLow: () => deps.diskLow(),
      appliedIndex: () => this.position.index,
    });
    this.writer = new StateWriter(
      config,
      this.clock,
      storage,
      this.raft,
      this.position,
      () => this.stateMachine,
      (error) => this.fail(error),
      this.terms,
      restored.cutIndex,
    );
    this.installer = new SnapshotInstaller({
      storage,
      scheduler: runtime.scheduler,
      createStateMachine: deps.createStateMachine,
      use: (machine, snapshot) => this.useSnapshot(machine, snapshot),
      stopped: () => this.dead !== null,
      fail: (error) => this.fail(error),
    });
    this.receiver = new SnapshotReceiver(storage, (message, s) => this.snapshotArrived(message, s), this.log);
    this.hint = new ElectionHint(
      {
        nowMs: () => this.clock.monotonicMs(),
        leaderId: () => this.role.leaderId,
        rankAfter: (leader) => rankAfter(leader, this.raftId, this.position.confState),
        situation: () => this.raft.status(),
        isConnected: (peer) => this.inbox.isConnected(peer),
        forgetLeader: () => this.raft.forgetLeader(),
        campaign: (cause) => this.campaign(cause),
        stopped: () => this.stopping || this.dead !== null || this.role.isLeader,
      },
      runtime.scheduler,
      runtime.random,
    );
    this.leadership = new Leadership({
      config,
      clock: this.clock,
      raft: this.raft,
      info: () => this.role,
      state: () => this.stateMachine,
      isConnected: (peer) => this.inbox.isConnected(peer),
      schedule: () => this.turns.schedule(),
      readBarrier: (deadlineMs) => this.readBarrier(deadlineMs),
    });
    this.duties = new LeaderDuties({
      config,
      clock: this.clock,
      log: this.log,
      time: this.time,
      machine: () => this.stateMachine,
      ready: () => this.role.ready && !this.stopping && this.dead === null,
      propose: (command) => this.propose(command),
    });
    this.turns = new TurnLoop({
      runtime,
      config,
      storage,
      raft: this.raft,
      position: this.position,
      reads: this.reads,
      flow: this.flow,
      installer: this.installer,
      writer: this.writer,
      leadership: this.leadership,
      transport: () => this.transport,
      sender: () => this.sender,
      role: () => this.role,
      roleChanged: (change) => this.roleChanged(change),
      apply: (entry) => this.apply(entry),
      callsParked: () => hasAny(this.stateMachine.pending()),
      stopped: () => this.dead !== null,
      fail: (error) => this.fail(error),
    });
    this.transport = deps.createTransport(this.inbox);
    this.sender = new SnapshotSender(
      storage,
      this.transport,
      config.snapshotChunkBytes,
      this.log,
      (to, ok) => {
        if (this.dead !== null) return;
        this.raft.reportSnapshot(to, ok);
        this.turns.schedule();
      },
      (error) => this.fail(error),
    );
    this.ticker = new Ticker(
      this.clock,
      runtime.scheduler,
      config.tickMs,
      config.tickMs * config.heartbeatTicks,
      {
        tick: () => this.tick(),
        stalled: (lateMs) => this.stalled(lateMs),
      },
    );
  }

  /** Begins to take part. */
  start(): void {
    this.membersChanged();
    if (this.position.index > 0) this.raft.offerSnapshot({ ...this.position });
    this.ticker.start();
    this.turns.schedule();
  }

  // ---- time ---------------------------------------------------------------------------------------------------------

  private tick(): void {
    if (this.dead !== null) return;
    const now = this.clock.monotonicMs();
    this.raft.tick();
    this.turns.retryReads();
    this.book.expire(now, () => waitedFor(this.role, "the command was not passed on to a leader in time"));
    this.reads.expire(now, () =>
      HoldfastError.fromDetail(waitedFor(this.role, "the read was not confirmed in time")),
    );
    this.leadership.tick(now);
    this.flow.repeatUnanswered();
    this.writer.maybeWrite();
    if (this.role.isLeader) {
      const reason = this.health.demotionReason(now);
      if (reason !== null) this.stepAside(reason);
    }
    if (this.role.ready && !this.stopping) this.duties.tick();
    if (++this.ticks % TICKS_PER_MEASURE === 0)
      setGauges(this.deps.runtime.meter, this.status(), this.role, this.reads.size);
    this.turns.schedule();
  }

  private stalled(lateMs: number): void {
    if (this.dead !== null) return;
    this.health.loopStalled(this.clock.monotonicMs(), lateMs);
    this.deps.runtime.meter.count("event_loop_stalls");
    this.raft.stalled();
  }

  // ---- roles -------------------------------------------------------------------------------------------------------

  private roleChanged(change: RoleChange): void {
    const before = this.role;
    const isLeader = change.role === "leader";
    const same = before.isLeader === isLeader && before.term === change.term;
    this.role = { isLeader, term: change.term, leaderId: change.leader, ready: same && before.ready };
    if (!same) this.flow.roleChanged(before.term);
    if (before.isLeader && !this.role.isLeader) {
      this.time.stopLeading();
      this.sender.cancelAll();
    }
    this.noteCause(change);
    this.turns.retryReads();
    this.leadership.leaderChanged(this.role);
    if (
      this.role.leaderId !== before.leaderId ||
      this.role.term !== before.term ||
      isLeader !== before.isLeader
    ) {
      this.log.info({ ...this.role, role: change.role, cause: this.election.text }, "role changed");
      this.roleListeners.emit(this.role);
    }
    this.turns.schedule();
  }

  private noteCause(change: RoleChange): void {
    const alone = this.raft.status().config.voters.every((voter) => voter === this.raftId);
    if (this.election.note(change, alone)) this.deps.runtime.meter.count("elections_started");
  }

  private campaign(cause: string): void {
    if (this.dead !== null || this.stopping) return;
    this.election.campaigns(cause);
    this.raft.campaign();
    this.turns.schedule();
  }

  /** An entry of the own term is applied: the log before it is known, so is the time. */
  applied(entry: Entry): void {
    this.writer.note(entry.data.length);
    this.duties.stamped();
    this.leadership.applied(entry.index, entry.kind !== EntryKind.Normal);
    if (!this.role.isLeader || this.role.ready || entry.term !== this.role.term) return;
    this.role = { ...this.role, ready: true };
    this.time.startLeading(this.clock.monotonicMs());
    this.roleListeners.emit(this.role);
    this.turns.schedule();
  }

  private stepAside(reason: string): void {
    if (!this.leadership.stepAside()) return;
    this.election.steppedAside(reason);
    this.deps.runtime.meter.count("leader_self_demotions");
  }

  // ---- peers -------------------------------------------------------------------------------------------------------

  private peerLost(peer: RaftId): void {
    this.raft.reportUnreachable(peer);
    this.hint.linkBroke(peer);
    this.disconnectListeners.emit(peer);
  }

  membersChanged(): void {
    const targets = peerTargets(this.config, this.raftId, this.position.confState, this.stateMachine);
    this.transport.setPeers(targets);
  }

  // ---- snapshots ---------------------------------------------------------------------------------------------------

  private snapshotArrived(message: Message, snapshot: StagedSnapshot): void {
    if (this.dead !== null) return snapshot.settle(false);
    this.installer.offer(snapshot);
    this.raft.step(message);
    this.turns.actAll();
    this.installer.withdraw(snapshot);
    this.turns.schedule();
  }

  private useSnapshot(machine: StateMachine, snapshot: StagedSnapshot): void {
    const { index, term, confState, confIndex } = snapshot.meta;
    this.stateMachine = machine;
    Object.assign(this.position, { index, term, confState, confIndex: confIndex ?? 0 });
    this.terms.reset(index, term);
    this.time.reset((machine.cluster().clusterTimeMs as number | null | undefined) ?? 0);
    this.writer.installed(index);
    this.raft.offerSnapshot({ ...this.position });
    this.turns.resumeApplying();
    this.book.skipped(outcomeUnknown("this member caught up by a snapshot"));
    this.membersChanged();
    this.log.info({ index, term }, "state replaced by a snapshot");
    this.resyncListeners.emit(index);
    this.reads.applied(index);
    snapshot.settle(true);
    this.turns.schedule();
  }

  // ---- for the code above ------------------------------------------------------------------------------------------

  propose(command: v1.ICommand, options?: ProposeOptions): Promise<v1.ICommandResult> {
    const deadlineMs = options?.deadlineMs ?? this.clock.monotonicMs() + this.config.proposeTimeoutMs;
    return new Promise((resolve) => {
      this.proposeEncoded(v1.Command.encode(command).finish(), deadlineMs, resolve);
    });
  }

  proposeEncoded(command: Uint8Array, deadlineMs: number, done: ProposalDone): void {
    const refusal = this.refusal();
    if (refusal !== null) return done({ error: refusal });
    if (!this.book.add(command, deadlineMs, done)) {
      this.deps.runtime.meter.count("proposals_overloaded");
      return done({ error: overloaded(this.config.name, this.book.size) });
    }
    this.turns.schedule();
  }

  private refusal(): v1.IErrorDetail | null {
    if (this.dead !== null) return errorDetail(ErrorCode.STORAGE_FAILED, this.dead);
    return this.stopping ? errorDetail(ErrorCode.STOPPING, `${this.config.name} is stopping`) : null;
  }

  readBarrier(deadlineMs = this.clock.monotonicMs() + this.config.readTimeoutMs): Promise<Index> {
    const refusal = this.refusal();
    if (refusal !== null) return Promise.reject(HoldfastError.fromDetail(refusal));
    const read = this.reads.add(deadlineMs);
    this.turns.schedule();
    return read;
  }

  get state(): StateView {
    return this.stateMachine;
  }

  machine(): StateMachine {
    return this.stateMachine;
  }

  get appliedIndex(): Index {
    return this.position.index;
  }

  clusterTimeMs(): number {
    return this.time.now(this.clock.monotonicMs());
  }

  events(events: readonly v1.IEvent[], revision: Index): void {
    this.eventListeners.emit(events, revision);
  }

  sendToPeer(to: RaftId, frame: v1.IPeerFrame): void {
    if (this.dead !== null) return;
    this.transport.send(to, frame);
    this.turns.schedule();
  }

  leader(): LeaderInfo {
    return this.role;
  }

  status(): ReplicaStatus {
    const pendingMs = this.deps.storage.oldestPendingSyncMs();
    return {
      raft: this.raft.status(),
      fsyncP99Ms: this.deps.storage.fsyncP99Ms(),
      lastElectionCause: this.election.text,
      snapshotIndex: this.writer.cut,
      pendingProposals: this.book.size,
      errors: problemsOf(this.dead, this.role, this.deps.diskLow(), pendingMs, this.config.diskStallMs),
    };
  }

  transferLeadership(to: RaftId): Promise<v1.IErrorDetail | null> {
    const refusal = this.refusal();
    return refusal === null ? this.leadership.transfer(to) : Promise.resolve(refusal);
  }

  changeMembers(change: MemberChange): Promise<v1.IErrorDetail | null> {
    const refusal = this.refusal();
    return refusal === null ? this.leadership.change(change) : Promise.resolve(refusal);
  }

  private apply(entry: Entry): void {
    if (this.dead !== null) return;
    const newer = applyEntry(this, entry);
    if (newer !== null) this.fail(newer);
  }

  private fail(error: Error): void {
    if (this.dead !== null) return;
    const { dead, said, code, exitCode, next } = demiseOf(this.config.name, error);
    this.dead = dead;
    this.log.error({ error: error.message }, said);
    this.ticker.stop();
    this.settleAll(errorDetail(code, dead));
    this.deps.onFatal(dead, exitCode, next);
  }

  private settleAll(error: v1.IErrorDetail): void {
    this.book.close(error);
    this.reads.close();
    this.leadership.close();
  }

  /** For tests: the process is gone from one moment to the next; nothing is flushed, answered or said. */
  abandon(): void {
    this.dead = `${this.config.name} was killed`;
    this.ticker.stop();
  }

  async stop(): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    if (this.dead === null) {
      await this.leadership.handOver();
      await this.settleDown();
      await this.writer.flush();
    }
    this.ticker.stop();
    this.settleAll(errorDetail(ErrorCode.STOPPING, `${this.config.name} is stopping`));
    this.dead ??= `${this.config.name} is stopped`;
    this.sender.cancelAll();
    await this.transport.close();
    await this.deps.storage.close();
  }

  /** Commands that were taken get a moment to be answered: an unknown outcome is the worst answer there is. */
  private async settleDown(): Promise<void> {
    const endMs = this.clock.monotonicMs() + SETTLE_MS;
    while (this.book.size > 0 && this.clock.monotonicMs() < endMs)
      await new Promise<void>((resume) => void this.deps.runtime.scheduler.after(this.config.tickMs, resume));
  }
}

function hasAny(items: Iterable<unknown>): boolean {
  for (const _ of items) return true;
  return false;
}
