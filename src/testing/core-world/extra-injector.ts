import {
  ConfChangeKind,
  type ConfState,
  ConfTransition,
  EntryKind,
  NO_LIMIT,
  type RaftStatus,
} from "../../raft/index.js";
import type { Prng } from "../sim/prng.js";
import { type FaultTarget, repeatedly } from "./core-faults.js";
import type { CoreNode } from "./core-node.js";

/** What the injector of extra faults may touch beyond the others. */
export interface ExtraTarget extends FaultTarget {
  node(id: number): CoreNode | undefined;
  /** Acknowledgements that this member sent lately arrive again, some time from now. */
  replayAcknowledgements(id: number): void;
}

/** How long an operator keeps at one step of a renewal. */
const RENEWAL_PATIENCE_US = 3_000_000;
const POLL_US = 5_000;

/** Faults that take several steps, or that came later than those of `CoreFaults`. */
export class ExtraInjector {
  /** One renewal at a time: its member is no stranger although no configuration names it. */
  private renewingUntilUs = 0;

  constructor(
    private readonly target: ExtraTarget,
    private readonly prng: Prng,
  ) {}

  start(): void {
    const { extra } = this.target.settings;
    const repeat = (perSecond: number, run: () => void): void =>
      repeatedly(this.target, this.prng, perSecond, run);
    repeat(extra.linkCutsPerSecond, () => this.cutLink());
    repeat(extra.bitRotPerSecond, () => this.rot());
    repeat(extra.diskFullPerSecond, () => this.fillDisk());
    repeat(extra.renewalsPerSecond, () => this.renew());
    repeat(extra.lateTransfersPerSecond, () => this.transferLate());
    if (this.target.settings.readMode === "lease") {
      const own = this.target.sim.seeds.stream("late acknowledgements");
      repeatedly(this.target, own, extra.lateAcknowledgementsPerSecond, () => this.acknowledgeLate(own));
    }
  }

  private leader(): { readonly node: CoreNode; readonly status: RaftStatus } | null {
    const leaders = this.target
      .nodes()
      .filter((node) => !node.paused && node.member?.status().role === "leader");
    if (leaders.length === 0) return null;
    const node = this.prng.pick(leaders);
    return { node, status: node.member?.status() as RaftStatus };
  }

  /** One direction of one link: what one says is lost, what it hears is not. A keepalive notices in the end. */
  private cutLink(): void {
    const ids = this.target.nodes().map((node) => node.id);
    if (ids.length < 2) return;
    const from = this.prng.pick(ids);
    const leader = this.leader()?.node.id ?? 0;
    const to = leader !== 0 && leader !== from ? leader : this.prng.pick(ids.filter((id) => id !== from));
    const { network, sim } = this.target;
    sim.tally.fault("link cut one way");
    network.block(from, to, true);
    sim.after(this.prng.exponential(300_000), () => {
      network.block(from, to, false);
      if (this.prng.chance(0.7)) this.target.node(to)?.act((member) => member.reportUnreachable(from));
    });
  }

  private rot(): void {
    const node = this.prng.pick(this.target.nodes());
    if (!node.wiped && this.target.mayWipe(node)) node.disk.decay();
  }

  private fillDisk(): void {
    const running = this.target.nodes().filter((node) => node.running);
    if (running.length === 0) return;
    this.target.sim.tally.fault("disk full");
    const { disk } = this.prng.pick(running);
    disk.fullUntilUs = this.target.sim.nowUs + this.prng.exponential(800_000);
  }

  /**
   * The order to campaign is under way for some heartbeats; when it arrives, the old leader hears nobody any more. What
   * it may still answer by a lease shows in the reads of clients that talk to it (lesson L38).
   */
  private transferLate(): void {
    const leader = this.leader();
    if (leader === null) return;
    const { node, status } = leader;
    const caughtUp = status.progress.filter(
      ({ id, match, isLearner }) => id !== node.id && !isLearner && match === status.lastIndex,
    );
    if (caughtUp.length === 0) return;
    const target = this.prng.pick(caughtUp).id;
    const { network, sim, settings } = this.target;
    network.clog(node.id, target, true);
    if (node.act((member) => member.transferLeader(target)) !== null) {
      network.clog(node.id, target, false);
      return;
    }
    sim.tally.fault("late transfer");
    const beatUs = settings.tickMs * settings.heartbeatTicks * 1000;
    sim.after(this.prng.between(1, 3) * beatUs + this.prng.below(beatUs), () => {
      const others = this.target.nodes().filter(({ id }) => id !== node.id);
      for (const other of others) network.block(other.id, node.id, true);
      network.clog(node.id, target, false);
      const deafUs = settings.electionTicks * settings.tickMs * 1000 * (0.5 + this.prng.fraction());
      sim.after(deafUs, () => {
        for (const other of others) network.block(other.id, node.id, false);
      });
    });
  }

  /**
   * A round of heartbeats is answered, and the answers arrive when the promise behind them is nearly over; after that the
   * leader is alone. A lease that ran from their arrival would outlive the promise (lesson L41).
   */
  private acknowledgeLate(prng: Prng): void {
    const leaders = this.target.nodes().filter((node) => node.member?.status().role === "leader");
    if (leaders.length === 0) return;
    const { id } = prng.pick(leaders);
    const { network, sim, settings } = this.target;
    const others = this.target.nodes().filter((node) => node.id !== id);
    if (others.length === 0) return;
    sim.tally.fault("acknowledgements late");
    const beatUs = settings.tickMs * settings.heartbeatTicks * 1000;
    const promiseUs = settings.tickMs * settings.electionTicks * 1000;
    for (const other of others) network.clog(other.id, id, true);
    sim.after(beatUs + prng.below(beatUs), () => {
      for (const other of others) network.block(id, other.id, true);
    });
    sim.after(2 * beatUs + promiseUs * (0.4 + 0.5 * prng.fraction()), () => {
      for (const other of others) network.clog(other.id, id, false);
      sim.after(3 * settings.network.delayBaseUs + 1000, () => {
        for (const other of others) network.block(other.id, id, true);
      });
    });
    sim.after(promiseUs * (2 + 2 * prng.fraction()), () => {
      for (const other of others) {
        network.block(other.id, id, false);
        network.block(id, other.id, false);
      }
    });
  }

  /** A member is removed, emptied, and added again under its id while the same leader leads (lesson L13). */
  private renew(): void {
    const leader = this.leader();
    if (leader === null || this.renewingUntilUs > this.target.sim.nowUs) return;
    const { config } = leader.status;
    if (config.votersOutgoing.length > 0) return;
    const candidates = [...config.voters, ...config.learners].filter(
      (id) => id !== leader.node.id && (config.learners.includes(id) || config.voters.length > 2),
    );
    // Nobody else may be lost: the group goes on with one member less.
    const all = [...config.voters, ...config.learners];
    if (candidates.length === 0 || all.some((id) => this.target.node(id)?.doomed !== false)) return;
    const id = this.prng.pick(candidates);
    if (!this.propose(leader.node, ConfChangeKind.RemoveNode, id)) return;
    this.renewingUntilUs = this.target.sim.nowUs + 2 * RENEWAL_PATIENCE_US;
    let committedBefore = -1;
    this.poll(leader.node, leader.status.term, (status) => {
      if (contains(status.config, id) || status.config.votersOutgoing.length > 0) return false;
      if (committedBefore < 0) committedBefore = status.commit;
      if (status.commit <= committedBefore || !this.forgotten(id, leader.node, status)) return false;
      this.emptyAndAdd(leader.node, id);
      return true;
    });
  }

  /**
   * Whether no disk counts on the member any more. As long as one does, its owner could be elected by the emptied
   * member's vote: an id may be used again only when every member has applied the removal, and strangers are stopped.
   */
  private forgotten(id: number, leader: CoreNode, status: RaftStatus): boolean {
    const tail = leader.member?.entries(status.applied + 1, status.lastIndex, NO_LIMIT) ?? [];
    if (tail.some(({ kind }) => kind !== EntryKind.Normal)) return false;
    for (const node of this.target.nodes()) {
      if (node.id === id || node.wiped) continue;
      if (!contains(status.config, node.id)) {
        node.crash(true);
        node.wiped = true;
      } else if (node.disk.state.confIndex < status.confIndex) return false;
    }
    return true;
  }

  private emptyAndAdd(leader: CoreNode, id: number): void {
    const { sim } = this.target;
    const node = this.target.node(id) as CoreNode;
    node.empty();
    sim.tally.fault("member emptied, to be added again");
    const kind = this.prng.pick([ConfChangeKind.AddLearner, ConfChangeKind.AddVoter]);
    const { term } = leader.member?.status() ?? { term: 0 };
    this.poll(leader, term, (status) => {
      if (!contains(status.config, id)) {
        if (status.applied >= status.confIndex) this.propose(leader, kind, id);
        return false;
      }
      sim.tally.situation("emptied member added again in the same term");
      this.target.replayAcknowledgements(id);
      this.renewingUntilUs = 0;
      return true;
    });
  }

  private propose(leader: CoreNode, kind: ConfChangeKind, id: number): boolean {
    const changes = [{ kind, id }];
    return leader.proposeConfChange({
      transition: ConfTransition.Auto,
      changes,
      context: new Uint8Array(0),
    });
  }

  /** Looks again and again while the same leader leads; gives up when it does not, or after a while. */
  private poll(leader: CoreNode, term: number, done: (status: RaftStatus) => boolean): void {
    const { sim } = this.target;
    const untilUs = sim.nowUs + RENEWAL_PATIENCE_US;
    const look = (): void => {
      const status = leader.paused ? undefined : leader.member?.status();
      if (!this.target.hostile || sim.nowUs > untilUs) return;
      if (status !== undefined) {
        if (status.role !== "leader" || status.term !== term || done(status)) return;
      }
      sim.after(POLL_US, look);
    };
    sim.after(POLL_US, look);
  }
}

function contains(config: ConfState, id: number): boolean {
  return config.voters.includes(id) || config.votersOutgoing.includes(id) || config.learners.includes(id);
}
