import {
  type Effects,
  type Entry,
  type Index,
  type Message,
  MessageKind,
  type PersistBatch,
  type RaftId,
  type RaftMember,
  type RoleChange,
} from "../raft/index.js";
import type { Clock, Log, Runtime } from "../runtime/api.js";
import type { StateMachine, StateView } from "../state/index.js";
import type { PeerEvents, SnapshotSink, Transport } from "../transport/api.js";
import { ErrorCode, errorDetail, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import type { LeaderInfo, MemberChange, ProposeOptions, Replica, ReplicaStatus } from "./api.js";
import { type ApplyHost, applyEntry } from "./apply.js";
import { ApplyQueue } from "./apply-queue.js";
import { ClusterTime } from "./cluster-time.js";
import type { ReplicaConfig } from "./config.js";
import { ElectionHint } from "./election-hint.js";
import { Health } from "./health.js";
import { LeaderDuties } from "./leader-duties.js";
import { Listeners } from "./listeners.js";
import { changeProblem, toConfChange } from "./membership.js";
import { Outbox } from "./outbox.js";
import { peerTargets } from "./peers.js";
import { ProposalFlow } from "./proposal-flow.js";
import { outcomeUnknown, ProposalBook, type ProposalDone } from "./proposals.js";
import { messageFromWire } from "./raft-codec.js";
import { ReadBarriers } from "./reads.js";
import { loadState } from "./load-state.js";
import { SnapshotReceiver, type StagedSnapshot } from "./snapshot-receiver.js";
import { SnapshotSender } from "./snapshot-sender.js";
import { type AppliedPosition, StateWriter, TermStarts } from "./state-writer.js";
import type { ReplicaStorage } from "./storage.js";
import { Ticker } from "./ticker.js";
import { transferError, TransferWaits } from "./transfers.js";

/** Exit code of a node whose own disk failed: it must not be restarted into the same disk without a look. */
export const EXIT_STORAGE_FAILED = 74;
/** Rounds of effects looked at in one turn; what is left waits for the next, so that input is read in between. */
const ROUNDS_PER_TURN = 4;

/** What a replica is made of. Everything that touches the world comes in here. */
export interface ReplicaDeps {
  readonly runtime: Runtime;
  readonly config: ReplicaConfig;
  readonly storage: ReplicaStorage;
  /** Called once; the events may come from then on. */
  readonly createTransport: (events: PeerEvents) => Transport;
  readonly createStateMachine: () => StateMachine;
  /** True while the disk is nearly full: only what frees space is then accepted. Cached, cheap, clears by itself. */
  readonly diskLow: () => boolean;
  /** The member cannot go on: its disk failed. The node must exit with this code. */
  readonly onFatal: (reason: string, exitCode: number) => void;
}

/** What `createReplica` has restored from the disk. */
export interface Restored {
  readonly raft: RaftMember;
  readonly machine: StateMachine;
  readonly position: AppliedPosition;
  readonly cutIndex: Index;
  readonly terms: TermStarts;
}

/** One member: its core, its state, its disk and its links, driven by one loop of turns. */
export class ReplicaNode implements Replica, ApplyHost {
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
  private readonly runtime: Runtime;
  private readonly storage: ReplicaStorage;
  private stateMachine: StateMachine;
  private readonly transport: Transport;
  private readonly outbox: Outbox;
  private readonly health: Health;
  private readonly flow: ProposalFlow;
  private readonly reads = new ReadBarriers();
  private readonly queue = new ApplyQueue();
  private readonly writer: StateWriter;
  private readonly sender: SnapshotSender;
  private readonly receiver: SnapshotReceiver;
  private readonly hint: ElectionHint;
  private readonly duties: LeaderDuties;
  private readonly ticker: Ticker;
  private readonly transfers = new TransferWaits();
  private readonly connected = new Set<RaftId>();
  private readonly arrivedSnapshots: StagedSnapshot[] = [];
  private readonly eventListeners = new Listeners<[events: readonly v1.IEvent[], revision: Index]>();
  private readonly resyncListeners = new Listeners<[revision: Index]>();
  private readonly roleListeners = new Listeners<[info: LeaderInfo]>();
  private readonly frameListeners = new Listeners<[from: RaftId, frame: v1.IPeerFrame]>();
  private readonly disconnectListeners = new Listeners<[peer: RaftId]>();
  private readonly confWaits: { index: Index; done: (error: v1.IErrorDetail | null) => void }[] = [];
  private role: LeaderInfo = { isLeader: false, term: 0, leaderId: 0, ready: false };
  private campaignCause = "";
  private electionCause = "none since this process started";
  private turnDue = false;
  private readsHeld = false;
  private installs = 0;
  private stopping = false;
  private dead: string | null = null;

  constructor(
    private readonly deps: ReplicaDeps,
    restored: Restored,
  ) {
    const { runtime, config, storage } = deps;
    this.runtime = runtime;
    this.config = config;
    this.clock = runtime.clock;
    this.log = runtime.log.child({ part: "replica", node: config.name });
    this.storage = storage;
    this.raft = restored.raft;
    this.raftId = config.raftId;
    this.boot = 1 + runtime.random.below(2 ** 32) * 2 ** 20 + runtime.random.below(2 ** 20);
    this.stateMachine = restored.machine;
    this.position = restored.position;
    this.terms = restored.terms;
    this.time.reset((restored.machine.cluster().clusterTimeMs as number | null | undefined) ?? 0);
    this.book = new ProposalBook(config.pendingProposalsMax, config.pendingBytesMax);
    this.health = new Health(config, this.log, () => storage.oldestPendingSyncMs());
    this.outbox = new Outbox(() => this.transport);
    this.flow = new ProposalFlow({
      config,
      clock: this.clock,
      raft: this.raft,
      boot: this.boot,
      time: this.time,
      book: this.book,
      info: () => this.role,
      isConnected: (peer) => this.connected.has(peer),
      send: (to, frame) => this.transport.send(to, frame),
      diskLow: () => deps.diskLow(),
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
    this.receiver = new SnapshotReceiver(storage, (message, s) => this.snapshotArrived(message, s), this.log);
    this.hint = new ElectionHint(
      {
        leaderId: () => this.role.leaderId,
        isConnected: (peer) => this.connected.has(peer),
        campaign: (cause) => this.campaign(cause),
        stopped: () => this.stopping || this.dead !== null || this.role.isLeader,
      },
      runtime.scheduler,
      runtime.random,
    );
    this.duties = new LeaderDuties({
      config,
      clock: this.clock,
      log: this.log,
      time: this.time,
      machine: () => this.stateMachine,
      propose: (command) => this.propose(command),
    });
    this.transport = deps.createTransport(this.peerEvents());
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
    this.runtime.scheduler.soon(() => {
      this.turnDue = false;
      if (this.dead === null) this.turn();
    });
  }

  /** Everything that came in since the last turn has one effect batch, one disk batch and one flush. */
  private turn(): void {
    this.flow.flush();
    this.askReads();
    for (let round = 0; round < ROUNDS_PER_TURN && this.raft.hasEffects(); round++)
      this.act(this.raft.drain());
    if (this.applySlice() && this.raft.hasEffects()) this.act(this.raft.drain());
    this.transport.flush();
    const more = !this.queue.isEmpty && !this.queue.paused;
    if (more || this.raft.hasEffects()) this.schedule();
  }

  /** In this order: a new role first, then what must be quick, then the disk, then what may take long. */
  private act(effects: Effects): void {
    if (effects.role !== null) this.roleChanged(effects.role);
    this.outbox.send(effects.messages);
    this.queue.push(effects.committed);
    if (effects.persist !== null) this.persist(effects.persist);
    for (const { to, meta, message } of effects.snapshotTo) this.sender.send(to, meta, message);
    for (const { request, index } of effects.reads) this.reads.ready(request, index, this.position.index);
    for (const { request } of effects.failedReads) {
      this.reads.failed(request);
      this.readsHeld = true;
    }
    if (effects.transferEnded !== null)
      this.transfers.ended(effects.transferEnded.target, effects.transferEnded.reason);
  }

  private persist(batch: PersistBatch): void {
    let staged: StagedSnapshot | null = null;
    if (batch.snapshot !== null) {
      staged = this.takeArrived(batch.snapshot.index);
      if (staged === null)
        throw new Error("invariant: the core accepts only snapshots whose data has arrived");
      // From here on the old state must neither be written nor applied to: its disk belongs to the new one.
      this.installs++;
      this.queue.paused = true;
      this.queue.dropThrough(batch.snapshot.index);
      this.writer.suspend();
    }
    this.storage.persist(batch, (error) => {
      if (error !== null) return this.fail(error);
      if (staged !== null) this.snapshotOnDisk(staged);
      this.batchDurable(batch.seq, batch.after);
    });
  }

  private batchDurable(seq: number, after: readonly Message[]): void {
    if (this.dead !== null) return;
    this.raft.persisted(seq);
    this.outbox.send(after);
    this.schedule();
  }

  private applySlice(): boolean {
    const count = this.queue.run(
      (entry) => applyEntry(this, entry),
      () => this.clock.monotonicMs(),
      this.config.applyBudgetMs,
    );
    if (count === 0) return false;
    this.raft.applied(this.position.index);
    this.reads.applied(this.position.index);
    this.writer.maybeWrite();
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
    this.book.expire(now, () => this.waitedFor("the command was not passed on to a leader in time"));
    this.reads.expire(now, () =>
      HoldfastError.fromDetail(this.waitedFor("the read was not confirmed in time")),
    );
    this.transfers.tick(now, this.role);
    this.flow.repeatUnanswered();
    this.writer.maybeWrite();
    if (this.role.isLeader) {
      const reason = this.health.demotionReason(now);
      if (reason !== null) this.stepAside(reason);
    }
    if (this.role.ready && !this.stopping) this.duties.tick();
    this.schedule();
  }

  private stalled(lateMs: number): void {
    if (this.dead !== null) return;
    this.health.loopStalled(this.clock.monotonicMs(), lateMs);
    this.runtime.meter.count("event_loop_stalls");
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
    this.transfers.leaderChanged(this.role);
    if (
      this.role.leaderId !== before.leaderId ||
      this.role.term !== before.term ||
      isLeader !== before.isLeader
    ) {
      this.log.info({ ...this.role, role: change.role, cause: this.electionCause }, "role changed");
      this.roleListeners.emit(this.role);
    }
    this.schedule();
  }

  private noteCause(change: RoleChange): void {
    if (change.role === "pre-candidate" || change.role === "candidate") {
      this.electionCause = this.campaignCause || "no sign of a leader within the election timeout";
      this.runtime.meter.count("elections_started");
    } else if (change.role === "follower" && change.leader !== 0) {
      this.electionCause = `member ${change.leader} was elected in term ${change.term}`;
    }
    if (change.leader !== 0) this.campaignCause = "";
  }

  private campaign(cause: string): void {
    if (this.dead !== null || this.stopping) return;
    this.campaignCause = cause;
    this.raft.forgetLeader();
    this.raft.campaign();
    this.schedule();
  }

  /** An entry of the own term is applied: the log before it is known, so is the time. */
  applied(entry: Entry): void {
    this.writer.note(entry.data.length);
    this.duties.stamped();
    for (let i = this.confWaits.length - 1; i >= 0; i--) {
      const wait = this.confWaits[i] as (typeof this.confWaits)[number];
      if (wait.index > entry.index) continue;
      this.confWaits.splice(i, 1);
      wait.done(null);
    }
    if (!this.role.isLeader || this.role.ready || entry.term !== this.role.term) return;
    this.role = { ...this.role, ready: true };
    this.time.startLeading(this.clock.monotonicMs());
    this.roleListeners.emit(this.role);
    this.schedule();
  }

  private stepAside(reason: string): void {
    const target = this.bestSuccessor();
    if (target === 0) return;
    this.campaignCause = reason;
    this.electionCause = reason;
    this.runtime.meter.count("leader_self_demotions");
    this.raft.transferLeader(target);
  }

  /** The living voter that has most of the log. */
  private bestSuccessor(): RaftId {
    const status = this.raft.status();
    let best = 0;
    let bestMatch = -1;
    for (const peer of status.progress) {
      if (peer.id === this.raftId || peer.isLearner || !peer.recentActive || !this.connected.has(peer.id))
        continue;
      if (peer.match > bestMatch) [best, bestMatch] = [peer.id, peer.match];
    }
    return best;
  }

  // ---- peers -------------------------------------------------------------------------------------------------------

  private peerEvents(): PeerEvents {
    return {
      onFrames: (from, frames) => this.frames(from, frames),
      onConnected: (peer) => this.peerConnected(peer),
      onDisconnected: (peer) => this.peerDisconnected(peer),
      onSnapshot: (from, first) => this.snapshotBegins(from, first),
    };
  }

  private frames(from: RaftId, frames: readonly v1.IPeerFrame[]): void {
    if (this.dead !== null) return;
    for (const frame of frames) {
      if (frame.raft) this.raftBatch(from, frame.raft);
      else if (frame.forward) this.flow.received(from, frame.forward);
      else if (frame.forwardRefused) this.flow.refusedByLeader(frame.forwardRefused);
      else this.frameListeners.emit(from, frame);
    }
    this.schedule();
  }

  private raftBatch(from: RaftId, batch: v1.IRaftBatch): void {
    for (const wire of batch.messages ?? []) {
      let message: Message;
      try {
        message = messageFromWire(wire);
      } catch (error) {
        this.log.warn({ from, error: String(error) }, "dropped a malformed message");
        continue;
      }
      // Its data comes by a stream of its own; without that it promises what this disk does not hold.
      if (message.kind !== MessageKind.Snapshot) this.raft.step(message);
    }
  }

  private peerConnected(peer: RaftId): void {
    this.connected.add(peer);
    this.schedule();
  }

  private peerDisconnected(peer: RaftId): void {
    this.connected.delete(peer);
    if (this.dead !== null) return;
    this.raft.reportUnreachable(peer);
    this.hint.linkBroke(peer);
    this.disconnectListeners.emit(peer);
    this.schedule();
  }

  membersChanged(): void {
    const targets = peerTargets(this.config, this.raftId, this.position.confState, this.stateMachine);
    this.transport.setPeers(targets);
  }

  // ---- snapshots ---------------------------------------------------------------------------------------------------

  private snapshotBegins(from: RaftId, first: v1.ISnapshotChunk): SnapshotSink | null {
    if (this.dead !== null || this.stopping) return null;
    return this.receiver.begin(from, first);
  }

  private snapshotArrived(message: Message, snapshot: StagedSnapshot): void {
    if (this.dead !== null) return snapshot.settle(false);
    this.arrivedSnapshots.push(snapshot);
    this.raft.step(message);
    for (let round = 0; round < ROUNDS_PER_TURN && this.raft.hasEffects(); round++)
      this.act(this.raft.drain());
    this.schedule();
    // Not wanted any more: an older one, or what it brings is here already.
    const at = this.arrivedSnapshots.indexOf(snapshot);
    if (at < 0) return;
    this.arrivedSnapshots.splice(at, 1);
    snapshot.settle(false);
  }

  private takeArrived(index: Index): StagedSnapshot | null {
    const at = this.arrivedSnapshots.findIndex((snapshot) => snapshot.meta.index === index);
    return at < 0 ? null : (this.arrivedSnapshots.splice(at, 1)[0] ?? null);
  }

  private snapshotOnDisk(snapshot: StagedSnapshot): void {
    const install = this.installs;
    loadState(this.storage, this.deps.createStateMachine, this.runtime.scheduler).then(
      (machine) => {
        if (install === this.installs && this.dead === null) this.useSnapshot(machine, snapshot);
        else snapshot.settle(true);
      },
      (error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))),
    );
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
      this.runtime.meter.count("proposals_overloaded");
      done({
        error: errorDetail(ErrorCode.OVERLOADED, `${this.book.size} commands wait at ${this.config.name}`, {
          node: this.config.name,
          retryAfterMs: 50,
        }),
      });
      return;
    }
    this.schedule();
  }

  private refusal(): v1.IErrorDetail | null {
    if (this.dead !== null) return errorDetail(ErrorCode.STORAGE_FAILED, this.dead);
    return this.stopping ? errorDetail(ErrorCode.STOPPING, `${this.config.name} is stopping`) : null;
  }

  private waitedFor(what: string): v1.IErrorDetail {
    if (this.role.leaderId !== 0) return errorDetail(ErrorCode.DEADLINE_EXCEEDED, what);
    return errorDetail(ErrorCode.NO_QUORUM, `${what}: no leader is known`, {
      next: "holdfast status",
      retryAfterMs: 200,
    });
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

  onEvents(listener: (events: readonly v1.IEvent[], revision: Index) => void): () => void {
    return this.eventListeners.add(listener);
  }

  onResync(listener: (revision: Index) => void): () => void {
    return this.resyncListeners.add(listener);
  }

  onRoleChange(listener: (status: LeaderInfo) => void): () => void {
    return this.roleListeners.add(listener);
  }

  onPeerFrame(listener: (from: RaftId, frame: v1.IPeerFrame) => void): () => void {
    return this.frameListeners.add(listener);
  }

  onPeerDisconnected(listener: (peer: RaftId) => void): () => void {
    return this.disconnectListeners.add(listener);
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
    return {
      raft: this.raft.status(),
      fsyncP99Ms: this.storage.fsyncP99Ms(),
      lastElectionCause: this.electionCause,
      snapshotIndex: this.writer.cut,
      pendingProposals: this.book.size,
      errors: this.problems(),
    };
  }

  private problems(): string[] {
    const problems: string[] = [];
    if (this.dead !== null) problems.push(this.dead);
    if (this.role.leaderId === 0) problems.push("no leader is known");
    if (this.deps.diskLow()) problems.push("the disk is nearly full");
    const pending = this.storage.oldestPendingSyncMs();
    if (pending >= this.config.diskStallMs) problems.push(`a disk write hangs for ${Math.round(pending)} ms`);
    return problems;
  }

  transferLeadership(to: RaftId): Promise<v1.IErrorDetail | null> {
    const refusal = this.refusal();
    if (refusal !== null) return Promise.resolve(refusal);
    if (this.role.leaderId === to) return Promise.resolve(transferError(to, "target-is-leader"));
    const reason = this.raft.transferLeader(to);
    this.schedule();
    if (reason !== null) return Promise.resolve(transferError(to, reason));
    const { tickMs, electionTicks } = this.config;
    return this.transfers.add(to, this.clock.monotonicMs() + 3 * tickMs * electionTicks);
  }

  changeMembers(change: MemberChange): Promise<v1.IErrorDetail | null> {
    const refusal = this.refusal() ?? this.leaderOnly();
    if (refusal !== null) return Promise.resolve(refusal);
    const problem = changeProblem(change, this.raft.status(), this.config.promoteLagEntries);
    if (problem !== null) return Promise.resolve(problem);
    const result = this.raft.proposeConfChange(toConfChange(change), change.ifConfIndex);
    this.schedule();
    if (!result.ok)
      return Promise.resolve(
        errorDetail(ErrorCode.PRECONDITION_FAILED, `the change was refused: ${result.reason}`, {
          next: "holdfast members list",
          retryAfterMs: 100,
        }),
      );
    return new Promise((done) => this.confWaits.push({ index: result.index, done }));
  }

  private leaderOnly(): v1.IErrorDetail | null {
    if (this.role.ready) return null;
    for (const member of this.stateMachine.members()) {
      if (member.raftId !== this.role.leaderId || this.role.isLeader) continue;
      const leader = { node: member.name ?? "", grpcAddress: member.grpcAddress ?? "" };
      return errorDetail(ErrorCode.NOT_LEADER, `${leader.node} leads`, { leader });
    }
    return errorDetail(ErrorCode.NO_QUORUM, "no leader is ready", { retryAfterMs: 200 });
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
    this.transfers.close();
    for (const wait of this.confWaits.splice(0)) wait.done(outcomeUnknown("this member stopped"));
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
      await this.handOver();
      await this.writer.flush();
    }
    this.ticker.stop();
    this.settleAll(errorDetail(ErrorCode.STOPPING, `${this.config.name} is stopping`));
    this.dead ??= `${this.config.name} is stopped`;
    this.sender.cancelAll();
    await this.transport.close();
    await this.storage.close();
  }

  /** What waits here is finished first, then somebody else leads, so that nobody notices an election. */
  private async handOver(): Promise<void> {
    if (!this.role.isLeader) return;
    const target = this.bestSuccessor();
    if (target === 0 || this.raft.transferLeader(target) !== null) return;
    this.schedule();
    const { tickMs, electionTicks } = this.config;
    await this.transfers.add(target, this.clock.monotonicMs() + tickMs * electionTicks);
  }
}
