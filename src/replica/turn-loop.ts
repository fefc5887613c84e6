import type { Effects, Entry, Message, PersistBatch, RaftMember, RoleChange } from "../raft/index.js";
import type { Runtime } from "../runtime/api.js";
import type { Transport } from "../transport/api.js";
import type { LeaderInfo } from "./api.js";
import { ApplyQueue } from "./apply-queue.js";
import { CommitHold } from "./commit-hold.js";
import type { ReplicaConfig } from "./config.js";
import { HeadStart } from "./head-start.js";
import type { Leadership } from "./leadership.js";
import { Outbox } from "./outbox.js";
import type { ProposalFlow } from "./proposal-flow.js";
import type { ReadBarriers } from "./reads.js";
import type { SnapshotInstaller } from "./snapshot-installer.js";
import type { SnapshotSender } from "./snapshot-sender.js";
import type { AppliedPosition, StateWriter } from "./state-writer.js";
import type { ReplicaStorage } from "./storage.js";
import { WriteOrder } from "./write-order.js";

/** Rounds of effects looked at in one turn; what is left waits for the next, so that input is read in between. */
const ROUNDS_PER_TURN = 4;

/** The parts of a replica that a turn moves, and what it tells the replica. */
export interface TurnHost {
  readonly runtime: Runtime;
  readonly config: ReplicaConfig;
  readonly storage: ReplicaStorage;
  readonly raft: RaftMember;
  readonly position: AppliedPosition;
  readonly reads: ReadBarriers;
  readonly flow: ProposalFlow;
  readonly installer: SnapshotInstaller;
  readonly writer: StateWriter;
  readonly leadership: Leadership;
  transport(): Transport;
  sender(): SnapshotSender;
  role(): LeaderInfo;
  roleChanged(change: RoleChange): void;
  apply(entry: Entry): void;
  /** A call is parked in the state, for which an event has to come. */
  callsParked(): boolean;
  /** True once nothing may be done any more. */
  stopped(): boolean;
  fail(error: Error): void;
}

/**
 * The loop that drives a replica: what came in goes into the core, what the core wants done is done, what is committed is
 * applied. All that one turn brings has one effect batch, one disk batch and one flush.
 */
export class TurnLoop {
  private readonly outbox: Outbox;
  private readonly hold: CommitHold;
  private readonly writes: WriteOrder;
  private readonly queue = new ApplyQueue();
  private readonly headStart = new HeadStart();
  private due = false;
  private dueNow = false;
  private readsHeld = false;

  constructor(private readonly host: TurnHost) {
    const { runtime, config, storage } = host;
    this.hold = new CommitHold({
      clock: runtime.clock,
      scheduler: runtime.scheduler,
      holdMs: config.commitHoldMs,
      entryHoldMs: config.entryHoldMs,
      passedBy: (peer) => host.flow.passedBy(peer),
      onlyWaiter: (first, last) => host.flow.onlyWaiter(first, last),
      callsParked: () => host.callsParked(),
      release: (messages) => this.releaseHeld(messages),
    });
    this.outbox = new Outbox(() => host.transport(), this.hold);
    this.writes = new WriteOrder(
      storage,
      (batch) => this.batchDurable(batch),
      (error) => host.fail(error),
      (run) => runtime.scheduler.soon(() => (host.stopped() ? undefined : run())),
    );
  }

  /** A turn in the next phase of the loop: gathers what else the present one brings. */
  schedule(): void {
    if (this.due || this.host.stopped()) return;
    this.due = true;
    this.host.runtime.scheduler.soon(() => {
      this.due = false;
      if (!this.host.stopped()) this.turn();
    });
  }

  /** A turn at the end of what runs now: for news that is complete and that somebody waits for. */
  scheduleNow(): void {
    if (this.dueNow || this.host.stopped()) return;
    this.dueNow = true;
    queueMicrotask(() => {
      this.dueNow = false;
      if (!this.host.stopped()) this.turn();
    });
  }

  /** Reads that failed are asked for again: a tick has passed, or somebody else leads. */
  retryReads(): void {
    this.readsHeld = false;
  }

  /** A snapshot has replaced the state: what is committed behind it may be applied. */
  resumeApplying(): void {
    this.queue.paused = false;
  }

  /** Does at once what the core wants done. True: messages are on their way. */
  actAll(): boolean {
    const { raft } = this.host;
    let sent = false;
    for (let round = 0; round < ROUNDS_PER_TURN && raft.hasEffects(); round++)
      sent = this.act(raft.drain()) || sent;
    return sent;
  }

  private turn(): void {
    const { flow, raft } = this.host;
    flow.flush();
    this.askReads();
    const told = this.actAll() && this.host.role().isLeader;
    if (!this.headStart.give(told, this.queue) && this.applySlice()) {
      // The end of a round is what gathered commands wait for.
      flow.flush();
      if (raft.hasEffects()) this.act(raft.drain());
    }
    this.host.transport().flush();
    const more = !this.queue.isEmpty && !this.queue.paused;
    if (more || raft.hasEffects()) this.schedule();
  }

  private askReads(): void {
    const { reads, raft } = this.host;
    if (!reads.hasNew || this.readsHeld || this.host.role().leaderId === 0) return;
    raft.readIndex(reads.startRound());
  }

  /** In this order: a new role first, then what must be quick, then the disk, then what may take long. */
  private act(effects: Effects): boolean {
    const { host } = this;
    const { reads, position, leadership } = host;
    if (effects.role !== null) host.roleChanged(effects.role);
    const sent = this.outbox.send(effects.messages);
    this.queue.push(effects.committed);
    if (effects.persist !== null) this.persist(effects.persist, host.role().isLeader && sent);
    for (const { to, meta, message } of effects.snapshotTo) host.sender().send(to, meta, message);
    for (const { request, index } of effects.reads) reads.ready(request, index, position.index);
    for (const { request } of effects.failedReads) {
      reads.failed(request);
      this.readsHeld = true;
    }
    if (effects.transferEnded !== null)
      leadership.transferEnded(effects.transferEnded.target, effects.transferEnded.reason);
    return sent;
  }

  private persist(batch: PersistBatch, afterSending: boolean): void {
    if (batch.snapshot !== null) {
      this.host.installer.accept(batch.snapshot.index, batch.seq);
      // From here on the old state must neither be written nor applied to: its disk belongs to the new one.
      this.queue.paused = true;
      this.queue.dropThrough(batch.snapshot.index);
      this.host.writer.suspend();
    }
    this.writes.write(batch, afterSending && batch.after.length === 0);
  }

  private batchDurable(batch: PersistBatch): void {
    const { host } = this;
    if (host.stopped()) return;
    host.installer.durable(batch.seq);
    host.raft.persisted(batch.seq);
    if (batch.after.length > 0) {
      // Others wait for these acknowledgements; what else the turn brings does not make them any better.
      this.outbox.send(batch.after);
      host.transport().flush();
    } else if (batch.mustSync && host.role().isLeader && host.raft.hasEffects()) {
      // Whoever commits by this disk and its own waits for the word; one without a sync may be told of inside `act`.
      if (this.actAll()) host.transport().flush();
    }
    this.schedule();
  }

  private releaseHeld(messages: readonly Message[]): void {
    if (this.host.stopped()) return;
    this.outbox.post(messages);
    this.host.transport().flush();
  }

  private applySlice(): boolean {
    const { raft, reads, position, writer, config, runtime } = this.host;
    const { clock } = runtime;
    const beganMs = clock.monotonicMs();
    const count = this.queue.run(
      (entry) => this.host.apply(entry),
      () => clock.monotonicMs(),
      config.applyBudgetMs,
    );
    if (count === 0) return false;
    runtime.meter.count("entries_applied", count);
    raft.applied(position.index);
    reads.applied(position.index);
    this.hold.applied();
    // After a long slice (a takeover of thousands of sessions) answers leave first; the next slice or tick writes.
    if (clock.monotonicMs() - beganMs <= config.applyBudgetMs) writer.maybeWrite();
    return true;
  }
}
