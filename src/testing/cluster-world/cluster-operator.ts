import { changeMembers, moveLeader } from "../../node/admin/members.js";
import type { ConfState } from "../../raft/index.js";
import type { ReplicaNode } from "../../replica/replica.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import { addressOf, type ClusterNode } from "./cluster-node.js";
import type { ClusterWorld } from "./cluster-world.js";

const MOVE_LEADER_TIMEOUT_MS = 5_000;
const SETTLE_PAUSE_US = 200_000;
/** After this time without an answer an operator asks again. */
const PATIENCE_US = 3_000_000;
/** Members that are added in one run at most. */
const ADDED_MAX = 2;
/** A change of members that met somebody who does not lead (any more) is asked for again after this, so often. */
const CHANGE_PAUSE_US = 250_000;
const CHANGE_TRIES_MAX = 4;

/**
 * The people who run the cluster, through the same functions as the Admin API: they cordon, drain and uncordon nodes, move
 * sessions and shares, by force too, move the leader, and change the members. They get refusals, and go on.
 */
export class ClusterOperator {
  private serial = 0;
  private added = 0;
  private readonly begun = new Set<string>();

  constructor(
    private readonly world: ClusterWorld,
    private readonly prng: Prng,
  ) {}

  start(): void {
    const { faults, settings } = this.world;
    faults.repeat(settings.movesPerSecond, () => this.move());
    faults.repeat(settings.schedulesPerSecond, () => this.schedule());
    faults.repeat(settings.memberChangesPerSecond, () => this.changeMember());
  }

  /** Asks one node that runs; its answer counts, a refusal too. Anything but a HoldfastError is a finding. */
  private ask(what: string, act: (node: ClusterNode, replica: ReplicaNode) => Promise<unknown>): void {
    const able = this.world.nodes.filter((node) => node.running && !node.paused && node.replica !== null);
    if (able.length === 0) return;
    // Only the leader changes members: whoever asks another one is told so, and mostly people know.
    const leads = able.find((node) => node.replica?.leader().ready);
    const node = leads !== undefined && this.prng.chance(0.6) ? leads : this.prng.pick(able);
    const { tally } = this.world.sim;
    tally.fault(`operator: ${what}`);
    act(node, node.replica as ReplicaNode).then(
      () => tally.situation(`operator: ${what} done`),
      (error: unknown) => {
        if (!(error instanceof HoldfastError)) this.world.fail(error);
        else tally.situation(`operator: ${what} refused`);
      },
    );
  }

  private nodeName(): string {
    return this.prng.pick(this.world.nodes).name;
  }

  /** A planned transfer of a session or a share, sometimes by force, sometimes with what the operator saw before. */
  private move(): void {
    const kind = this.prng.pick(["session", "session", "share", "forced", "leader"]);
    if (kind === "leader") return this.moveLeader();
    this.ask(
      `transfer of a ${kind === "share" ? "share" : "session"}${kind === "forced" ? " by force" : ""}`,
      async (node, replica) => {
        const sessions = [...replica.state.sessions()];
        const session = sessions.length === 0 ? null : this.prng.pick(sessions);
        const id = this.newId();
        const request: v1.ITransferRequest = {
          operationId: id,
          to: this.prng.chance(0.8) ? this.nodeName() : "",
          reason: "simulated",
          requestedBy: "operator",
          force: kind === "forced",
          ...(kind === "share" ? { share: "demo" } : { sessionId: session?.id ?? 1 }),
        };
        if (this.prng.chance(0.3) && session?.epoch) request.expectEpoch = session.epoch;
        if (this.prng.chance(0.3)) request.planHash = (await node.transfers?.plan(request))?.hash ?? "";
        await this.begin(node, request);
        if (this.prng.chance(0.15)) await node.transfers?.cancel({ id, requestedBy: "operator" });
      },
    );
  }

  private async begin(node: ClusterNode, request: v1.ITransferRequest): Promise<void> {
    await node.transfers?.begin(request);
    this.begun.add(request.operationId ?? "");
  }

  private newId(): string {
    return `op-${++this.serial}`;
  }

  private moveLeader(): void {
    const { world } = this;
    const to = this.prng.chance(0.5) ? this.nodeName() : "";
    this.ask("move of the leader", (_node, replica) => {
      const time = {
        nowMs: () => world.sim.nowUs / 1000,
        sleep: (ms: number) => world.pause(ms * 1000),
      };
      return moveLeader(replica, { to }, time, MOVE_LEADER_TIMEOUT_MS);
    });
  }

  private schedule(): void {
    const name = this.nodeName();
    if (this.prng.chance(0.4)) {
      this.ask("drain", (node) =>
        this.begin(node, {
          operationId: this.newId(),
          node: name,
          drain: true,
          reason: "simulated",
          requestedBy: "operator",
        }),
      );
      return;
    }
    const cordoned = this.prng.chance(0.4);
    this.ask(cordoned ? "cordon" : "uncordon", (_node, replica) => this.cordon(replica, name, cordoned));
  }

  private async cordon(replica: ReplicaNode, node: string, cordoned: boolean): Promise<void> {
    const result = await replica.propose({
      scheduleNode: { node, cordoned, draining: false, reason: "simulated", requestedBy: "operator" },
    });
    if (result.error) throw HoldfastError.fromDetail(result.error);
  }

  /** One step of a change of members: what was added as a learner is promoted later, and then another one may go. */
  private changeMember(): void {
    const leader = this.world.leader();
    if (leader === null || this.world.damage.pending) return;
    const { config } = leader.raft.status();
    const kinds = ["promote", "promote", "remove", "demote"];
    if (this.added < ADDED_MAX) kinds.push("add-learner", "add-learner");
    const action = this.prng.pick(kinds);
    if (action === "add-learner") return this.add();
    const from = action === "promote" ? config.learners : config.voters;
    const raftId = from.length > 0 && this.prng.chance(0.9) ? this.prng.pick(from) : this.prng.between(1, 7);
    if (action === "remove" && this.isLastKnown(raftId)) return;
    this.ask(`members ${action}`, async (_node, replica) => {
      await this.change(replica, { action, member: this.member(raftId, replica) });
      if (action === "remove") this.world.retire(raftId);
    });
  }

  /** Clients were given the addresses of the founders: with the last of them gone nobody could find the cluster. */
  private isLastKnown(raftId: number): boolean {
    const { nodes, settings } = this.world;
    const known = nodes.filter((node) => node.id <= settings.nodes && !node.retired);
    return known.length === 1 && known[0]?.id === raftId;
  }

  /**
   * A leader that is to go hands over and sends people to its successor. Meanwhile a disk may have been lost, and then the
   * member that was to go is needed until the lost one is replaced (seed 520081: two voters were left, one of them lost).
   */
  private async change(replica: ReplicaNode, request: v1.IChangeMembersRequest): Promise<void> {
    for (let asked = replica, tries = 1; ; tries++) {
      try {
        await changeMembers(asked, request);
        return;
      } catch (error) {
        if (!(error instanceof HoldfastError) || error.code !== ErrorCode.NOT_LEADER) throw error;
        if (tries === CHANGE_TRIES_MAX) throw error;
      }
      await this.world.pause(CHANGE_PAUSE_US);
      if (this.world.damage.pending)
        throw new HoldfastError(ErrorCode.PRECONDITION_FAILED, "a member is to be replaced first");
      asked = this.world.leader() ?? asked;
    }
  }

  private member(raftId: number, replica: ReplicaNode): v1.IMemberRecord {
    for (const member of replica.state.members()) if (member.raftId === raftId) return member;
    return { raftId, name: `n${raftId}`, incarnation: 1, grpcAddress: addressOf(raftId) };
  }

  private add(): void {
    this.added++;
    const node = this.world.addNode();
    this.ask("members add-learner", async (_node, replica) => {
      await changeMembers(replica, { action: "add-learner", member: this.member(node.id, replica) });
      if (this.world.hostile) node.start();
    });
  }

  /**
   * A member that has lost its disk is removed, and another one is added under a new name and number, as
   * `docs/operations.md` says. Each step is tried until the leader has it: leaders die, and calls get lost.
   */
  async replace(lost: ClusterNode): Promise<void> {
    const { world } = this;
    const wasVoter = await this.insist("remove", lost, (config) => !holds(config, lost.id));
    world.retire(lost.id);
    const fresh = world.addNode();
    await this.insist("add-learner", fresh, (config) => holds(config, fresh.id));
    fresh.start();
    if (wasVoter) await this.insist("promote", fresh, ({ voters }) => voters.includes(fresh.id));
    world.sim.tally.situation("lost member replaced");
  }

  /** Resolves once the configuration is as wanted; answers whether the member had a vote at first. */
  private async insist(
    action: string,
    node: ClusterNode,
    done: (config: ConfState) => boolean,
  ): Promise<boolean> {
    const { world } = this;
    let voter: boolean | null = null;
    for (;;) {
      const leader = world.leader();
      if (leader !== null) {
        const { config } = leader.raft.status();
        voter ??= config.voters.includes(node.id);
        if (config.votersOutgoing.length === 0 && done(config)) return voter;
        const change = changeMembers(leader, { action, member: this.member(node.id, leader) });
        // A leader that dies meanwhile never answers.
        await Promise.race([change.catch(refusalOnly), world.pause(PATIENCE_US)]);
      }
      await world.pause(SETTLE_PAUSE_US);
    }
  }

  /** After the faults: nothing stays cordoned, and every operation that was begun comes to an end by itself. */
  async settle(): Promise<void> {
    for (;;) {
      await this.world.pause(SETTLE_PAUSE_US);
      const leader = this.world.leader();
      if (leader === null) continue;
      const cordoned = [...leader.state.nodes()].filter((node) => node.cordoned && node.status === NODE_UP);
      if (cordoned.length === 0) return;
      for (const { name } of cordoned) await this.cordon(leader, name ?? "", false).catch(() => undefined);
    }
  }

  /** Operations that have not ended, in words. One that waits for an owner in vain is given up after its own time only. */
  running(replica: ReplicaNode): string[] {
    const operations = [...replica.state.operations()].filter(({ state }) => state === "running");
    return operations.map(({ id, kind }) => `operation ${id} (${kind}) still runs`);
  }

  /** Counts what operations came to. */
  countEnded(replica: ReplicaNode): void {
    for (const operation of replica.state.operations())
      if (this.begun.has(operation.id ?? "") && operation.state === "done")
        this.world.sim.tally.situation(`operation ended: ${operation.kind}`);
  }
}

const NODE_UP = 1;

function holds({ voters, learners }: ConfState, id: number): boolean {
  return voters.includes(id) || learners.includes(id);
}

function refusalOnly(error: unknown): void {
  if (!(error instanceof HoldfastError)) throw error;
}
