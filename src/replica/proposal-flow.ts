import type { Index, RaftMember, RaftId, Term } from "../raft/index.js";
import type { Clock } from "../runtime/api.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { LeaderInfo } from "./api.js";
import type { ClusterTime } from "./cluster-time.js";
import type { ReplicaConfig } from "./config.js";
import { ForwardFilter } from "./forward-filter.js";
import { growsState } from "./growth.js";
import { encodeLogRecord, RecordSpace } from "./log-record.js";
import { overloaded } from "./problems.js";
import type { Proposal, ProposalBook } from "./proposals.js";

/** Bytes of commands in one forward frame. */
const FORWARD_FRAME_BYTES = 512 * 1024;
/** Commands appended by one call of the core, so that one turn stays short. */
const PROPOSE_BATCH_MAX = 4_096;
/** After a refusal that may be over soon. */
const REFUSED_HOLD_MS = 20;
/** Forwards repeated in one tick. */
const REPEATS_MAX = 256;

/** With more entries under way nobody is told of the leader's disk. */
const TOLD_ENTRIES_MAX = 16;

interface Incoming {
  readonly from: RaftId;
  readonly boot: number;
  readonly number: number;
  readonly command: Uint8Array;
}

/** What the flow needs of its replica. */
export interface FlowHost {
  readonly config: ReplicaConfig;
  readonly clock: Clock;
  readonly raft: RaftMember;
  readonly boot: number;
  readonly time: ClusterTime;
  readonly book: ProposalBook;
  info(): LeaderInfo;
  isConnected(peer: RaftId): boolean;
  send(to: RaftId, frame: v1.IPeerFrame): void;
  diskLow(): boolean;
  /** Index of the last entry applied here. */
  appliedIndex(): Index;
}

/**
 * The way of commands into the log: appended here when this member leads, else passed on to the leader of exactly the
 * present term. All commands of a turn make one append, or one frame.
 */
export class ProposalFlow {
  private readonly filter = new ForwardFilter();
  private incoming: Incoming[] = [];
  private heldUntilMs = -Infinity;
  /** The last entry that this leadership has appended for somebody. */
  private lastIndex: Index = 0;
  /** The last one for each member that passed a command on. */
  private readonly lastPassed = new Map<RaftId, Index>();
  /** The latest entries that were appended for one other member alone, which commits them by two. */
  private alone = NOBODY;

  constructor(private readonly host: FlowHost) {}

  /** Moves on whatever can move now. */
  flush(): void {
    const { book } = this.host;
    if (book.waiting === 0 && this.incoming.length === 0) return;
    const now = this.host.clock.monotonicMs();
    const info = this.host.info();
    if (info.isLeader) {
      if (info.ready && !this.gathering) this.append(info.term, now);
    } else if (info.leaderId !== 0 && now >= this.heldUntilMs && this.host.isConnected(info.leaderId)) {
      const waiting = book.takeWaiting();
      book.markSent(waiting, info.term, now);
      this.forward(info.leaderId, info.term, waiting);
    }
  }

  /**
   * Group commit: while a round is under way, commands gather until they are as many as it has. A round costs its disk
   * writes, messages and wake-ups whatever it holds, so many small ones are what a busy cluster cannot afford; and with
   * little under way nobody waits. The end of a round flushes what has gathered.
   */
  private get gathering(): boolean {
    const underWay = this.lastIndex - this.host.appliedIndex();
    return this.host.book.waiting + this.incoming.length < underWay;
  }

  /** The last entry of this leadership that holds a command which this member passed on; zero: none. */
  passedBy(member: RaftId): Index {
    return this.lastPassed.get(member) ?? 0;
  }

  private append(term: Term, nowMs: number): void {
    const { book } = this.host;
    const own = this.dropGrowth(book.takeWaiting());
    const passed = this.incoming;
    this.incoming = [];
    const stamp = this.host.time.now(nowMs);
    let at = 0;
    while (at < own.length + passed.length) {
      const end = Math.min(at + PROPOSE_BATCH_MAX, own.length + passed.length);
      const result = this.host.raft.propose(this.encode(own, passed, at, end, stamp));
      if (!result.ok) break;
      this.lastIndex = result.index + (end - at) - 1;
      const underWay = this.lastIndex - this.host.appliedIndex();
      let member: RaftId = at < own.length ? 0 : (passed[at - own.length] as Incoming).from;
      for (let i = Math.max(at, own.length); i < end; i++) {
        const { from } = passed[i - own.length] as Incoming;
        if (!this.passedOn(from, result.index + i - at, underWay) || from !== member) member = 0;
      }
      this.alone = { member, first: result.index, last: this.lastIndex };
      book.markSent(own.slice(at, Math.min(end, own.length)), term, nowMs);
      at = end;
    }
    if (at < own.length) book.putBack(own.slice(at));
    this.refuse(term, passed.slice(Math.max(0, at - own.length)), null);
  }

  /** True: the member commits the entry by two. */
  private passedOn(from: RaftId, index: Index, underWay: number): boolean {
    this.lastPassed.set(from, index);
    // Under load the next append brings the commit index as soon, and a message for each round would cost more than it gives.
    return underWay <= TOLD_ENTRIES_MAX && this.host.raft.awaitedBy(from, index);
  }

  /**
   * The member that passed on all the commands of these entries and commits them by the leader's disk and its own: nobody
   * else is needed for the answer. Zero: there is none, or the entries are not of one append.
   */
  onlyWaiter(first: Index, last: Index): RaftId {
    const { alone } = this;
    return first >= alone.first && last <= alone.last ? alone.member : 0;
  }

  private encode(
    own: readonly Proposal[],
    passed: readonly Incoming[],
    from: number,
    to: number,
    stamp: number,
  ): Uint8Array[] {
    const { config, boot } = this.host;
    const space = spaceFor(own, passed, from, to);
    const data = new Array<Uint8Array>(to - from);
    for (let i = from; i < to; i++) {
      if (i < own.length) {
        const { number, command } = own[i] as Proposal;
        data[i - from] = encodeLogRecord(stamp, config.raftId, boot, number, command, space);
      } else {
        const p = passed[i - own.length] as Incoming;
        data[i - from] = encodeLogRecord(stamp, p.from, p.boot, p.number, p.command, space);
      }
    }
    return data;
  }

  /** While the disk is nearly full, only what frees space or keeps something alive goes on. */
  private dropGrowth(proposals: Proposal[]): Proposal[] {
    if (proposals.length === 0 || !this.host.diskLow()) return proposals;
    const kept: Proposal[] = [];
    for (const proposal of proposals) {
      if (growsState(proposal.command)) this.host.book.reject(proposal, diskFull(this.host.config.name));
      else kept.push(proposal);
    }
    return kept;
  }

  private forward(to: RaftId, term: Term, proposals: readonly Proposal[]): void {
    let frame: v1.IForwardedProposal[] = [];
    let bytes = 0;
    const flush = (): void => {
      if (frame.length > 0)
        this.host.send(to, { forward: { term, proposals: frame, originBoot: this.host.boot } });
      frame = [];
      bytes = 0;
    };
    for (const proposal of proposals) {
      frame.push({ proposal: proposal.number, command: proposal.command });
      bytes += proposal.command.length + 16;
      if (bytes >= FORWARD_FRAME_BYTES) flush();
    }
    flush();
  }

  /** Sends forwards again that had no answer for a while: the frame may have been lost with its link. */
  repeatUnanswered(): void {
    const info = this.host.info();
    if (info.isLeader || info.leaderId === 0 || !this.host.isConnected(info.leaderId)) return;
    const now = this.host.clock.monotonicMs();
    const before = now - this.host.config.forwardRetryMs;
    const late = this.host.book.unanswered(info.term, before, REPEATS_MAX);
    if (late.length === 0) return;
    this.host.book.sentAgain(late, now);
    this.forward(info.leaderId, info.term, late);
  }

  /** A member passes commands on to this one. */
  received(from: RaftId, forward: v1.IForward): void {
    const info = this.host.info();
    const term = (forward.term as number | undefined) ?? 0;
    const boot = (forward.originBoot as number | undefined) ?? 0;
    const all = (forward.proposals ?? []).map((p) => ({
      from,
      boot,
      number: (p.proposal as number | undefined) ?? 0,
      command: p.command ?? NO_BYTES,
    }));
    if (!info.isLeader || term !== info.term) return this.refuse(term, all, null, true);
    const fresh = all.filter((p) => this.filter.admit(p.from, p.boot, p.number));
    if (this.incoming.length + fresh.length > this.host.config.pendingProposalsMax)
      return this.refuse(term, fresh, overloaded(this.host.config.name, this.incoming.length));
    if (!this.host.diskLow()) {
      this.incoming.push(...fresh);
      return;
    }
    const growth = fresh.filter((p) => growsState(p.command));
    this.refuse(term, growth, diskFull(this.host.config.name));
    this.incoming.push(...fresh.filter((p) => !growth.includes(p)));
  }

  private refuse(
    term: Term,
    incoming: readonly Incoming[],
    error: v1.IErrorDetail | null,
    notLeading = false,
  ): void {
    const byOrigin = new Map<string, Incoming[]>();
    for (const p of incoming) {
      const key = `${p.from}/${p.boot}`;
      const list = byOrigin.get(key);
      if (list === undefined) byOrigin.set(key, [p]);
      else list.push(p);
    }
    for (const list of byOrigin.values()) {
      const first = list[0] as Incoming;
      const refused: v1.IForwardRefused = {
        term,
        originBoot: first.boot,
        proposals: list.map((p) => p.number),
        notLeading,
      };
      if (error !== null) refused.error = error;
      this.host.send(first.from, { forwardRefused: refused });
    }
  }

  /** A leader, or one that is none any more, refused what was passed on to it. */
  refusedByLeader(refused: v1.IForwardRefused): void {
    if (refused.originBoot !== this.host.boot) return;
    this.heldUntilMs = this.host.clock.monotonicMs() + REFUSED_HOLD_MS;
    for (const number of refused.proposals ?? [])
      this.host.book.refused(number as number, refused.error ?? null, refused.notLeading === true);
  }

  /** The role or the term changed: what waited for this member's leadership goes back to its origins. */
  roleChanged(oldTerm: Term): void {
    const waiting = this.incoming;
    this.incoming = [];
    this.lastIndex = 0;
    this.lastPassed.clear();
    this.alone = NOBODY;
    this.filter.reset();
    this.heldUntilMs = -Infinity;
    this.refuse(oldTerm, waiting, null);
  }
}

function spaceFor(
  own: readonly Proposal[],
  passed: readonly Incoming[],
  from: number,
  to: number,
): RecordSpace {
  let bytes = 0;
  for (let i = from; i < to; i++) {
    const { command } = (i < own.length ? own[i] : passed[i - own.length]) as { command: Uint8Array };
    bytes += command.length;
  }
  return new RecordSpace(to - from, bytes);
}

const NO_BYTES = new Uint8Array(0);
const NOBODY: { readonly member: RaftId; readonly first: Index; readonly last: Index } = {
  member: 0,
  first: 1,
  last: 0,
};

function diskFull(node: string): v1.IErrorDetail {
  return errorDetail(
    ErrorCode.DISK_FULL,
    `the disk of leader ${node} is nearly full; only what frees space is accepted`,
    { node, next: "free space on its disk; it goes on by itself", retryAfterMs: 1_000 },
  );
}
