import { type ConfChange, ConfChangeKind, type ConfState, ConfTransition } from "../../raft/index.js";
import type { Prng } from "../sim/prng.js";
import type { Simulation } from "../sim/simulation.js";
import { repeatedly } from "./core-faults.js";
import type { CoreNode } from "./core-node.js";
import type { CoreSettings } from "./swarm.js";

/** Ids beyond the first members, for those that join later. */
const MEMBERS_MAX = 12;

/** What the operator sees and may touch. */
export interface OperatorTarget {
  readonly sim: Simulation;
  readonly settings: CoreSettings;
  nodes(): readonly CoreNode[];
  node(id: number): CoreNode | undefined;
  /** Makes a member with an empty disk and starts it. */
  addNode(): CoreNode;
  readonly hostile: boolean;
}

const NO_CONTEXT = new Uint8Array(0);

/** An operator with little patience: membership changes, transfers and elections at random moments. */
export class CoreOperator {
  constructor(
    private readonly target: OperatorTarget,
    private readonly prng: Prng,
  ) {}

  start(): void {
    const { settings } = this.target;
    this.repeat(settings.confChangesPerSecond, () => this.changeMembers());
    this.repeat(settings.transfersPerSecond, () => this.transfer());
    this.repeat(settings.hintsPerSecond, () => this.hint());
  }

  private repeat(perSecond: number, run: () => void): void {
    repeatedly(this.target, this.prng, perSecond, run);
  }

  private leader(): CoreNode | null {
    const leaders = this.target.nodes().filter((node) => node.member?.status().role === "leader");
    return leaders.length === 0 ? null : this.prng.pick(leaders);
  }

  /** Leaves a joint configuration that waits for it. */
  leaveJoint(leader: CoreNode): void {
    leader.proposeConfChange({ transition: ConfTransition.Auto, changes: [], context: NO_CONTEXT });
  }

  private changeMembers(): void {
    const leader = this.leader();
    if (leader === null || leader.paused) return;
    const config = leader.member?.status().config as ConfState;
    if (config.votersOutgoing.length > 0) {
      if (!config.autoLeave) this.leaveJoint(leader);
      return;
    }
    const joint = this.prng.chance(0.5);
    const count = joint ? this.prng.between(1, 3) : 1;
    const changes: { kind: ConfChangeKind; id: number }[] = [];
    for (let i = 0; i < count; i++) {
      const change = this.drawChange(config);
      if (change !== null && !changes.some(({ id }) => id === change.id)) changes.push(change);
    }
    if (changes.length === 0 || !this.keepsQuorum(config, changes)) return;
    const transition = joint
      ? this.prng.pick([ConfTransition.Auto, ConfTransition.JointImplicit, ConfTransition.JointExplicit])
      : ConfTransition.Auto;
    const accepted = leader.proposeConfChange({
      transition,
      changes,
      context: NO_CONTEXT,
    } satisfies ConfChange);
    if (accepted) this.target.sim.tally.fault("membership change");
  }

  private drawChange(config: ConfState): { kind: ConfChangeKind; id: number } | null {
    const { prng, target } = this;
    const outside = target
      .nodes()
      .filter(
        (node) => !node.wiped && !config.voters.includes(node.id) && !config.learners.includes(node.id),
      );
    const dead = target
      .nodes()
      .filter((node) => node.wiped && (config.voters.includes(node.id) || config.learners.includes(node.id)));
    if (dead.length > 0 && prng.chance(0.7))
      return { kind: ConfChangeKind.RemoveNode, id: prng.pick(dead).id };
    switch (prng.below(5)) {
      case 0:
      case 1: {
        const kind = prng.pick([
          ConfChangeKind.AddVoter,
          ConfChangeKind.AddLearner,
          ConfChangeKind.AddLearner,
        ]);
        if (outside.length > 0 && prng.chance(0.6)) return { kind, id: prng.pick(outside).id };
        if (target.nodes().length >= MEMBERS_MAX) return null;
        return { kind, id: target.addNode().id };
      }
      case 2:
        if (config.learners.length === 0) return null;
        return { kind: ConfChangeKind.AddVoter, id: prng.pick(config.learners) };
      case 3:
        return { kind: ConfChangeKind.AddLearner, id: prng.pick(config.voters) };
      default:
        return { kind: ConfChangeKind.RemoveNode, id: prng.pick([...config.voters, ...config.learners]) };
    }
  }

  /** Refuses what would leave a group that cannot elect or commit, as the operator's tools do. */
  private keepsQuorum(config: ConfState, changes: ConfChange["changes"]): boolean {
    const voters = new Set(config.voters);
    for (const { kind, id } of changes) {
      if (kind === ConfChangeKind.AddVoter) voters.add(id);
      else voters.delete(id);
    }
    if (voters.size === 0 || voters.size > 7) return false;
    let sound = 0;
    for (const id of voters) if (this.target.node(id)?.doomed === false) sound++;
    return sound * 2 > voters.size;
  }

  private transfer(): void {
    const leader = this.leader();
    const voters = leader?.member?.status().config.voters ?? [];
    if (leader === null || voters.length === 0) return;
    const target = this.prng.pick(voters);
    const at = this.prng.chance(0.8) ? leader : this.prng.pick(this.target.nodes());
    if (!at.running || at.paused) return;
    const refused = at.act((member) => member.transferLeader(target));
    if (refused === null) this.target.sim.tally.fault("leadership transfer asked");
  }

  /** A broken connection makes a follower doubt its leader at once. */
  private hint(): void {
    const node = this.prng.pick(this.target.nodes());
    this.target.sim.tally.fault("election hint");
    node.act((member) => {
      member.forgetLeader();
      member.campaign();
    });
  }
}
