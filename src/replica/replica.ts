import {
  type Effects,
  type Entry,
  EntryKind,
  type Index,
  type Message,
  type PersistBatch,
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
import { ApplyQueue } from "./apply-queue.js";
import { CommitHold } from "./commit-hold.js";
import { ClusterTime } from "./cluster-time.js";
import type { ReplicaConfig } from "./config.js";
import { EXIT_STORAGE_FAILED, type ReplicaDeps, type Restored } from "./deps.js";
import { ElectionCause } from "./election-cause.js";
import { ElectionHint } from "./election-hint.js";
import { setGauges } from "./gauges.js";
import { HeadStart } from "./head-start.js";
import { Health } from "./health.js";
import { Leadership } from "./leadership.js";
import { LeaderDuties } from "./leader-duties.js";
import { overloaded, problemsOf, waitedFor } from "./problems.js";
import { Outbox } from "./outbox.js";
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
import { WriteOrder } from "./write-order.js";

/** Rounds of effects looked at in one turn; what is left waits for the next, so that input is read in between. */
const ROUNDS_PER_TURN = 4;
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
  private readonly outbox: Outbox;
  private readonly writes: WriteOrder;
  private readonly installer: SnapshotInstaller;
  private readonly health: Health;
  private readonly flow: ProposalFlow;
  private readonly reads = new ReadBarriers();
  private readonly queue = new ApplyQueue();
  private readonly headStart = new HeadStart();
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
  private turnDue = false;
  private turnSoon = false;
  private readsHeld = false;
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
      schedule: () => this.schedule(),
      turnNow: () => this.turnNow(),
    });
    this.outbox = new Outbox(
      () => this.transport,
      new CommitHold({
        clock: this.clock,
        scheduler: runtime.scheduler,
        holdMs: config.commitHoldMs,
        passedBy: (peer) => this.flow.passedBy(peer),
        release: (messages) => this.releaseHeld(messages),
      }),
    );
    this.writes = new WriteOrder(
      storage,
      (batch) => this.batchDurable(batch),
      (error) => this.fail(error),
      (run) => runtime.scheduler.soon(() => (this.dead === null ? run() : undefined)),
    );
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
      schedule: () => this.schedule(),
    });
    this.duties = new LeaderDuties({
      config,
      clock: this.clock,
      log: this.log,
      time: this.time,
      machine: () => this.stateMachine,
      propose: (command) => this.propose(command),
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
        this.schedule();
      },
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
    this.schedule();
  }

  // ---- the loop of turns -------------------------------------------------------------------------------------------

  private schedule(): void {
    if (this.turnDue || this.dead !== null) return;
    this.turnDue = true;
    this.deps.runtime.scheduler.soon(() => {
      this.turnDue = false;
      if (this.dead === null) this.turn();
    });
  }

  /** A turn at the end of what runs now: for news that is complete and that somebody waits for. */
  private turnNow(): void {
    if (this.turnSoon || this.dead !== null) return;
    this.turnSoon = true;
    queueMicrotask(() => {
      this.turnSoon = false;
      if (this.dead === null) this.turn();
    });
  }

  /** Everything that came in since the last turn has one effect batch, one disk batch and one flush. */
  private turn(): void {
    this.flow.flush();
    this.askReads();
    let sent = false;
    for (let round = 0; round < ROUNDS_PER_TURN && this.raft.hasEffects(); round++)
      sent = this.act(this.raft.drain()) || sent;
    if (!this.headStart.give(sent && this.role.isLeader, this.queue) && this.applySlice()) {
      // The end of a round is what gathered commands wait for.
      this.flow.flush();
      if (this.raft.hasEffects()) this.act(this.raft.drain());
    }
    this.transport.flush();
    const more = !this.queue.isEmpty && !this.queue.paused;
    if (more || this.raft.hasEffects()) this.schedule();
  }

  /** In this order: a new role first, then what must be quick, then the disk, then what may take long. True: it sent messages. */
  private act(effects: Effects): boolean {
    if (effects.role !== null) this.roleChanged(effects.role);
    this.outbox.send(effects.messages);
    this.queue.push(effects.committed);
    if (effects.persist !== null)
      this.persist(effects.persist, this.role.isLeader && effects.messages.length > 0);
    for (const { to, meta, message } of effects.snapshotTo) this.sender.send(to, meta, message);
    for (const { request, index } of effects.reads) this.reads.ready(request, index, this.position.index);
    for (const { request } of effects.failedReads) {
      this.reads.failed(request);
      this.readsHeld = true;
    }
    if (effects.transferEnded !== null)
      this.leadership.transferEnded(effects.transferEnded.target, effects.transferEnded.reason);
    return effects.messages.length > 0;
  }

  private persist(batch: PersistBatch, afterSending: boolean): void {
    if (batch.snapshot !== null) {
      this.installer.accept(batch.snapshot.index, batch.seq);
      // From here on the old state must neither be written nor applied to: its disk belongs to the new one.
      this.queue.paused = true;
      this.queue.dropThrough(batch.snapshot.index);
      this.writer.suspend();
    }
    this.writes.write(batch, afterSending && batch.after.length === 0);
  }

  private batchDurable(batch: PersistBatch): void {
    if (this.dead !== null) return;
    this.installer.durable(batch.seq);
    this.raft.persisted(batch.seq);
    if (batch.after.length > 0) {
      // Others wait for these acknowledgements; what else the turn brings does not make them any better.
      this.outbox.send(batch.after);
      this.transport.flush();
    }
    this.schedule();
  }

  private releaseHeld(messages: readonly Message[]): void {
    if (this.dead !== null) return;
    this.outbox.post(messages);
    this.transport.flush();
  }

  private applySlice(): boolean {
    const beganMs = this.clock.monotonicMs();
    const count = this.queue.run(
      (entry) => applyEntry(this, entry),
      () => this.clock.monotonicMs(),
      this.config.applyBudgetMs,
    );
    if (count === 0) return false;
    this.deps.runtime.meter.count("entries_applied", count);
    this.raft.applied(this.position.index);
    this.reads.applied(this.position.index);
    // After a long slice (a takeover of thousands of sessions) answers leave first; the next slice or tick writes.
    if (this.clock.monotonicMs() - beganMs <= this.config.applyBudgetMs) this.writer.maybeWrite();
    return true;
  }

  private askReads(): void {
    if (!this.reads.hasNew || this.readsHeld) return;
    if (this.role.leaderId === 0) return;
    this.raft.readIndex(this.reads.startRound());
  }

  private tick(): void {
    if (this.dead !== null) return;
    const now = this.clock.monotonicMs();
    this.raft.tick();
    this.readsHeld = false;
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
    this.schedule();
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
    this.readsHeld = false;
    this.leadership.leaderChanged(this.role);
    if (
      this.role.leaderId !== before.leaderId ||
      this.role.term !== before.term ||
      isLeader !== before.isLeader
    ) {
      this.log.info({ ...this.role, role: change.role, cause: this.election.text }, "role changed");
      this.roleListeners.emit(this.role);
    }
    this.schedule();
  }

  private noteCause(change: RoleChange): void {
    const alone = this.raft.status().config.voters.every((voter) => voter === this.raftId);
    if (this.election.note(change, alone)) this.deps.runtime.meter.count("elections_started");
  }

  private campaign(cause: string): void {
    if (this.dead !== null || this.stopping) return;
    this.election.campaigns(cause);
    this.raft.campaign();
    this.schedule();
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
    this.schedule();
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
    for (let round = 0; round < ROUNDS_PER_TURN && this.raft.hasEffects(); round++)
      this.act(this.raft.drain());
    this.installer.withdraw(snapshot);
    this.schedule();
  }

  private useSnapshot(machine: StateMachine, snapshot: StagedSnapshot): void {
    const { index, term, confState, confIndex } = snapshot.meta;
    this.stateMachine = machine;
    Object.assign(this.position, { index, term, confState, confIndex: confIndex ?? 0 });
    this.terms.reset(index, term);
    this.time.reset((machine.cluster().clusterTimeMs as number | null | undefined) ?? 0);
    this.writer.installed(index);
    this.raft.offerSnapshot({ ...this.position });
    this.queue.paused = false;
    this.book.skipped(outcomeUnknown("this member caught up by a snapshot"));
    this.membersChanged();
    this.log.info({ index, term }, "state replaced by a snapshot");
    this.resyncListeners.emit(index);
    this.reads.applied(index);
    snapshot.settle(true);
    this.schedule();
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
    this.schedule();
  }

  private refusal(): v1.IErrorDetail | null {
    if (this.dead !== null) return errorDetail(ErrorCode.STORAGE_FAILED, this.dead);
    return this.stopping ? errorDetail(ErrorCode.STOPPING, `${this.config.name} is stopping`) : null;
  }

  readBarrier(deadlineMs = this.clock.monotonicMs() + this.config.readTimeoutMs): Promise<Index> {
    const refusal = this.refusal();
    if (refusal !== null) return Promise.reject(HoldfastError.fromDetail(refusal));
    const read = this.reads.add(deadlineMs);
    this.schedule();
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
    this.schedule();
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

  private fail(error: Error): void {
    if (this.dead !== null) return;
    this.dead = `the disk of ${this.config.name} failed: ${error.message}`;
    this.log.error({ error: error.message }, "the disk failed; this node stops");
    this.ticker.stop();
    this.settleAll(errorDetail(ErrorCode.STORAGE_FAILED, this.dead));
    this.deps.onFatal(this.dead, EXIT_STORAGE_FAILED);
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
