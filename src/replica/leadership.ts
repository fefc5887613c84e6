import type { DropReason, Index, RaftId, RaftMember } from "../raft/index.js";
import type { Clock } from "../runtime/api.js";
import type { StateView } from "../state/index.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { LeaderInfo, MemberChange } from "./api.js";
import type { ReplicaConfig } from "./config.js";
import { changeProblem, takesVote, toConfChange } from "./membership.js";
import { outcomeUnknown } from "./proposals.js";
import { transferError, TransferWaits } from "./transfers.js";

/** What leadership needs of its replica. */
export interface LeadershipHost {
  readonly config: ReplicaConfig;
  readonly clock: Clock;
  readonly raft: RaftMember;
  info(): LeaderInfo;
  state(): StateView;
  isConnected(peer: RaftId): boolean;
  schedule(): void;
  /** A round of heartbeats that a majority has answered. */
  readBarrier(deadlineMs: number): Promise<Index>;
}

/** A change that takes a vote away and is applied here, while the voters that remain may not know that yet. */
interface Spreading {
  readonly index: Index;
  readonly deadlineMs: number;
  readonly done: (error: null) => void;
}

/** Who leads and who belongs: handing the leadership over, and changing the members, with those who wait for either. */
export class Leadership {
  private readonly transfers = new TransferWaits();
  private readonly changes: {
    readonly index: Index;
    readonly done: (error: v1.IErrorDetail | null) => void;
  }[] = [];
  private spreading: Spreading[] = [];

  constructor(private readonly host: LeadershipHost) {}

  /** Resolves with null when `to` leads, or with why it does not. */
  transfer(to: RaftId): Promise<v1.IErrorDetail | null> {
    if (this.host.info().leaderId === to) return Promise.resolve(transferError(to, "target-is-leader"));
    const reason = this.host.raft.transferLeader(to);
    this.host.schedule();
    if (reason !== null) return Promise.resolve(transferError(to, reason));
    return this.transfers.add(to, this.electionTimeouts(3));
  }

  private electionTimeouts(count: number): number {
    const { tickMs, electionTicks } = this.host.config;
    return this.host.clock.monotonicMs() + count * tickMs * electionTicks;
  }

  transferEnded(target: RaftId, reason: DropReason | null): void {
    this.transfers.ended(target, reason);
  }

  leaderChanged(info: LeaderInfo): void {
    this.transfers.leaderChanged(info);
  }

  tick(nowMs: number): void {
    this.transfers.tick(nowMs, this.host.info());
    this.spread(nowMs);
  }

  /** Gives the leadership to the fittest other one, without waiting; false when there is none. */
  stepAside(): boolean {
    const target = this.bestSuccessor();
    return target !== 0 && this.host.raft.transferLeader(target) === null;
  }

  /** The same, and waits for it: somebody else leads when it resolves, if that was possible in time. */
  async handOver(): Promise<void> {
    const target = this.bestSuccessor();
    if (!this.host.info().isLeader || target === 0 || this.host.raft.transferLeader(target) !== null) return;
    this.host.schedule();
    await this.transfers.add(target, this.electionTimeouts(1));
  }

  /** The living voter that has most of the log; zero for none. */
  private bestSuccessor(): RaftId {
    const status = this.host.raft.status();
    let best = 0;
    let bestMatch = -1;
    for (const peer of status.progress) {
      if (peer.id === status.id || peer.isLearner || !peer.recentActive || !this.host.isConnected(peer.id))
        continue;
      if (peer.match > bestMatch) [best, bestMatch] = [peer.id, peer.match];
    }
    return best;
  }

  /** Resolves with null when the change is applied here, or with why it was refused. */
  change(change: MemberChange): Promise<v1.IErrorDetail | null> {
    const { config, raft } = this.host;
    const status = raft.status();
    const problem =
      this.leaderOnly() ?? this.foundedFirst() ?? changeProblem(change, status, config.promoteLagEntries);
    if (problem !== null) return Promise.resolve(problem);
    const vote = takesVote(change, status);
    if (vote && change.member.raftId === status.id) return this.makeWay(status.id);
    const result = raft.proposeConfChange(toConfChange(change), change.ifConfIndex);
    this.host.schedule();
    if (!result.ok)
      return Promise.resolve(
        errorDetail(ErrorCode.PRECONDITION_FAILED, `the change was refused: ${result.reason}`, {
          next: "holdfast members list",
          retryAfterMs: 100,
        }),
      );
    const { index } = result;
    const applied = new Promise<v1.IErrorDetail | null>((done) => this.changes.push({ index, done }));
    return vote ? applied.then((error) => error ?? this.whenKnown(index)) : applied;
  }

  /**
   * A leader does not take its own vote away. The others would apply that only after they have heard of the commit, and
   * whoever reads "done" stops the process: then they go on asking for a vote that is gone, of two voters for ever. Its
   * successor does it.
   */
  private async makeWay(own: RaftId): Promise<v1.IErrorDetail> {
    const target = this.bestSuccessor();
    if (target === 0)
      return errorDetail(ErrorCode.PRECONDITION_FAILED, `member ${own} leads, and nobody can take over`, {
        next: "holdfast status",
      });
    const failed = await this.transfer(target);
    return failed ?? this.leaderOnly() ?? errorDetail(ErrorCode.NOT_LEADER, `member ${target} leads`);
  }

  /** Resolves when those who vote now and can be reached know it, at the latest after a few election timeouts. */
  private whenKnown(index: Index): Promise<null> {
    return new Promise((done) => {
      this.spreading.push({ index, deadlineMs: this.electionTimeouts(3), done });
      this.spread(this.host.clock.monotonicMs());
    });
  }

  // What a follower has is called committed by the next heartbeat; who answers that has heard it.
  private spread(nowMs: number): void {
    if (this.spreading.length === 0) return;
    const { progress } = this.host.raft.status();
    const waiting: Spreading[] = [];
    for (const change of this.spreading) {
      const { index, deadlineMs, done } = change;
      const late = nowMs >= deadlineMs || !this.host.info().isLeader;
      const told = () => done(null);
      if (late) told();
      else if (progress.some((p) => !p.isLearner && p.recentActive && p.match < index)) waiting.push(change);
      else this.host.readBarrier(deadlineMs).then(told, told);
    }
    this.spreading = waiting;
  }

  private leaderOnly(): v1.IErrorDetail | null {
    const info = this.host.info();
    if (info.ready) return null;
    for (const member of this.host.state().members()) {
      if (member.raftId !== info.leaderId || info.isLeader) continue;
      const leader = { node: member.name ?? "", grpcAddress: member.grpcAddress ?? "" };
      return errorDetail(ErrorCode.NOT_LEADER, `${leader.node} leads`, { leader });
    }
    return errorDetail(ErrorCode.NO_QUORUM, "no leader is ready", { retryAfterMs: 200 });
  }

  /**
   * The first record of the cluster names the members of the configuration file. One that was removed before it is
   * applied would be named again, and leases would wait for a coordinator that is gone.
   */
  private foundedFirst(): v1.IErrorDetail | null {
    if ((this.host.state().cluster().clusterId ?? "") !== "") return null;
    return errorDetail(ErrorCode.NOT_READY, "the cluster has not been founded yet", {
      next: "holdfast members list",
      retryAfterMs: 100,
    });
  }

  /**
   * An entry was applied: whoever waits for a change at its index has it, if the entry is that change. A later leader
   * may have put something else there.
   */
  applied(index: Index, isChange: boolean): void {
    for (let i = this.changes.length - 1; i >= 0; i--) {
      const wait = this.changes[i] as (typeof this.changes)[number];
      if (wait.index > index) continue;
      this.changes.splice(i, 1);
      wait.done(wait.index === index && isChange ? null : outcomeUnknown("another leader wrote over it"));
    }
  }

  close(): void {
    this.transfers.close();
    for (const wait of this.changes.splice(0)) wait.done(outcomeUnknown("this member stopped"));
    for (const wait of this.spreading.splice(0)) wait.done(null);
  }
}
