import type { ReplicaNode } from "../../replica/replica.js";
import { metaKey } from "../../storage/keys.js";
import { type Prng, SeedTree } from "../sim/prng.js";
import { Violation } from "../sim/simulation.js";
import type { ClusterNode } from "./cluster-node.js";
import type { ClusterWorld } from "./cluster-world.js";

/** The stream of chance that all of this is drawn from. */
const STREAM = "disk damage";
/** Disks that are lost in one run at most. */
const LOST_MAX = 2;
/** A node that has read a record which is not what was written must have ended by then. */
const SERVES_ROT_US = 5_000_000;
/** How often, and how many times, a moment is looked for at which a disk may be lost. */
const STRIKE_AGAIN_US = 7_000;
const STRIKE_TRIES = 300;

type Kind = "record" | "log" | "wipe";

/**
 * Disks that stop being what they were: a bit of a stored record changes, or one of the write-ahead log, or somebody
 * empties the data folder and starts the node as if nothing had happened. In a third of the runs, drawn from a stream of
 * its own so that the other seeds go the way they went before.
 *
 * Each time the node has to end with the code that asks for a person, and the operator does what `docs/operations.md` says:
 * removes the member and adds another one under a new name and number. Never a disk that the group cannot lose.
 */
export class DiskDamage {
  private readonly perSecond: number;
  private readonly tornWriteRate: number;
  private lost = 0;
  /** Whose disk is, or may be, lost; no other one may be until it is replaced. */
  private victim: ClusterNode | null = null;
  private kind: Kind = "record";
  /** Empty under its old identity: whatever it hears from the group is wrong. */
  private wiped = false;

  private readonly prng: Prng;

  constructor(private readonly world: ClusterWorld) {
    const prng = world.sim.seeds.stream(STREAM);
    this.prng = prng;
    const on = drawn(prng) && !world.scenes;
    const rate = 0.1 + prng.fraction() * 0.4;
    const torn = prng.pick([0.1, 0.5, 1]);
    this.perSecond = on ? rate : 0;
    this.tornWriteRate = on ? torn : 0;
  }

  /** Whether disks are damaged in this run. */
  get on(): boolean {
    return this.perSecond > 0;
  }

  /** A member is to be replaced: nobody else changes the members meanwhile. */
  get pending(): boolean {
    return this.victim !== null;
  }

  /** What a disk of this run does besides. */
  prepare(node: ClusterNode): void {
    node.disk.faults = { ...node.disk.faults, tornWriteRate: this.tornWriteRate };
  }

  start(): void {
    if (!this.on) return;
    const next = (): void => {
      this.world.sim.after(this.prng.exponential(1_000_000 / this.perSecond), () => {
        if (!this.world.hostile) return;
        this.strike();
        next();
      });
    };
    next();
  }

  /** At the next moment at which the group survives it; there may be none for a while. */
  private strike(triesLeft = STRIKE_TRIES): void {
    this.forgetHealed();
    if (!this.world.hostile || this.victim !== null || this.lost >= LOST_MAX) return;
    const leader = this.world.leader();
    const able = this.world.nodes.filter(
      (node) => leader !== null && node.running && this.mayLose(node, leader),
    );
    if (able.length === 0) {
      if (triesLeft > 0) this.world.sim.after(STRIKE_AGAIN_US, () => this.strike(triesLeft - 1));
      return;
    }
    const node = this.prng.pick(able);
    this.kind = this.prng.pick(["record", "record", "log", "wipe"]);
    if (this.kind === "record") this.flip(node);
    else if (this.kind === "log") this.rotLog(node);
    else this.wipe(node, "disk wiped under an old identity");
  }

  /** A damaged record that was written again, or swept away unread, is no damage any more. */
  private forgetHealed(): void {
    const { victim } = this;
    if (victim === null || this.kind !== "record" || this.wiped) return;
    if (victim.condemned || victim.disk.damaged) return;
    this.victim = null;
    this.lost--;
  }

  /**
   * Whether the group survives the loss of this disk, and would notice: nothing is on its way through the log, every
   * member has everything on its own disk, and all others remember durably which disk this member has.
   */
  private mayLose(node: ClusterNode, leader: ReplicaNode): boolean {
    const status = leader.raft.status();
    const { voters, votersOutgoing, learners } = status.config;
    const members = [...voters, ...learners];
    if (!voters.includes(node.id) || voters.length < 3 || votersOutgoing.length > 0) return false;
    if (status.applied !== status.lastIndex || status.durableIndex !== status.lastIndex) return false;
    for (const { id, match } of status.progress)
      if (id !== status.id && match < status.lastIndex) return false;
    const { nodes, settings } = this.world;
    // Clients know the addresses of the founders alone.
    if (!voters.some((id) => id !== node.id && id <= settings.nodes)) return false;
    const note = metaKey(`peer/${node.id}`).toString("hex");
    return nodes.every(({ id, disk }) => id === node.id || !members.includes(id) || disk.holds(note));
  }

  private flip(node: ClusterNode): void {
    const { sim } = this.world;
    const key = node.disk.flipBit((keys) => this.choose(keys));
    if (key === null) return;
    sim.tally.fault(`bit flipped: ${kindOf(key)}`);
    this.take(node);
    if (!this.prng.chance(0.7)) return;
    const { life } = node;
    sim.after(this.prng.exponential(500_000), () => {
      if (!this.world.hostile || node.life !== life || !node.running) return;
      node.crash(this.prng.chance(0.5));
      this.world.restartLater(node);
    });
  }

  /** First a kind, then a record of it: of the records that matter most there is one each. */
  private choose(keys: readonly string[]): string {
    const kinds = new Map<string, string[]>();
    for (const key of keys) {
      const same = kinds.get(kindOf(key));
      if (same === undefined) kinds.set(kindOf(key), [key]);
      else same.push(key);
    }
    return this.prng.pick(kinds.get(this.prng.pick([...kinds.keys()])) as string[]);
  }

  private rotLog(node: ClusterNode): void {
    const { world } = this;
    world.noteCrash(node);
    node.crash(false);
    if (node.disk.rotLog()) {
      world.sim.tally.fault("bit flipped: write-ahead log");
      this.take(node);
    }
    world.restartLater(node);
  }

  /** Somebody empties the data folder and starts the node again. */
  private wipe(node: ClusterNode, what: string): void {
    const { world } = this;
    world.noteCrash(node);
    node.crash(false);
    node.disk.wipe();
    world.sim.tally.fault(what);
    if (this.victim === null) this.take(node);
    this.wiped = true;
    node.condemned = false;
    world.restartLater(node);
  }

  private take(node: ClusterNode): void {
    this.victim = node;
    this.lost++;
  }

  /** A node has refused to go on. */
  condemned(node: ClusterNode, reason: string): void {
    const { tally } = this.world.sim;
    if (node !== this.victim) {
      this.world.fail(new Violation("sound disk refused", `${node.name}: ${reason}`));
      return;
    }
    const running = node.replica !== null;
    node.crash(false);
    node.condemned = true;
    if (this.wiped) tally.situation("wiped disk refused by its peers");
    else if (this.kind === "log") tally.situation("damaged log refused at start");
    else tally.situation(running ? "damaged record met while running" : "damaged record refused at start");
    if (!this.wiped && this.prng.chance(0.3)) {
      this.wipe(node, "damaged disk wiped under its old identity");
      return;
    }
    this.wiped = false;
    this.world
      .replaceMember(node)
      .then(() => {
        this.victim = null;
      })
      .catch((error: unknown) => this.world.fail(error));
  }

  /** After each event. */
  check(): void {
    const { victim, world } = this;
    if (victim === null || !victim.running || victim.paused) return;
    const { disk, replica } = victim;
    if (this.wiped && replica !== null && replica.leader().leaderId !== 0)
      throw new Violation("wiped disk admitted", `${victim.name} takes part with an emptied disk`);
    if (this.kind === "log" && !this.wiped && replica !== null)
      throw new Violation(
        "lost writes accepted",
        `${victim.name} goes on without writes that it had acknowledged`,
      );
    if (disk.rotReadUs > 0 && world.sim.nowUs > disk.rotReadUs + SERVES_ROT_US && disk.damaged)
      throw new Violation("damaged record served", `${victim.name} has read a damaged record and goes on`);
  }

  /** Whether whoever has lost a disk was replaced; a damaged record that nobody has read may stay. */
  get settled(): boolean {
    this.forgetHealed();
    const { victim } = this;
    return victim === null || (this.kind === "record" && !this.wiped && !victim.condemned);
  }
}

function drawn(prng: Prng): boolean {
  return prng.chance(0.35);
}

/** Whether disks are damaged in the cluster world of this seed. */
export function damagesDisks(seed: number): boolean {
  return drawn(new SeedTree(seed).stream(STREAM));
}

/** The kind of record under a key of the storage, for counting. */
function kindOf(key: string): string {
  const bytes = Buffer.from(key, "hex");
  if (bytes[0] === 0x20) return "log entry";
  if (bytes[0] === 0x30) return bytes[5] === 0 ? "applied position" : "state record";
  const name = bytes.subarray(1).toString("utf8");
  return name.startsWith("peer/") ? "peer" : name;
}
