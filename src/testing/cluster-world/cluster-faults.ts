import type { Prng } from "../sim/prng.js";
import type { ClusterNode } from "./cluster-node.js";
import type { ClusterWorld } from "./cluster-world.js";

/** What goes wrong around whole nodes, and when. */
export class ClusterFaults {
  constructor(
    private readonly world: ClusterWorld,
    private readonly prng: Prng,
  ) {}

  start(): void {
    const { settings } = this.world;
    this.repeat(settings.killsPerSecond, () => this.crash("process killed", false));
    this.repeat(settings.powerLossesPerSecond, () => this.crash("power lost", true));
    this.repeat(settings.powerCutsPerSecond, () => this.powerCut());
    this.repeat(settings.pausesPerSecond, () => this.pause());
    this.repeat(settings.partitionsPerSecond, () => this.partition());
    this.repeat(settings.diskHangsPerSecond, () => this.hangDisk());
    this.repeat(settings.shareHangsPerSecond, () => this.hangShare());
    this.repeat(settings.diskLowsPerSecond, () => this.fillDisk());
    this.repeat(settings.fullDisksPerSecond, () => this.takeAllSpace());
    this.repeat(settings.transfersPerSecond, () => this.transfer());
    this.repeat(settings.wallJumpsPerSecond, () => this.jumpWall());
  }

  /** Plans `run` at random times, this often on average, as long as faults are wanted. */
  repeat(perSecond: number, run: () => void): void {
    if (perSecond <= 0) return;
    const { sim } = this.world;
    const next = (): void => {
      sim.after(this.prng.exponential(1_000_000 / perSecond), () => {
        if (!this.world.hostile) return;
        run();
        next();
      });
    };
    next();
  }

  private running(): ClusterNode | null {
    const running = this.world.nodes.filter((node) => node.running);
    return running.length === 0 ? null : this.prng.pick(running);
  }

  restartLater(node: ClusterNode): void {
    const mean = this.prng.pick([1, 200_000, 2_000_000]);
    this.world.sim.after(this.prng.exponential(mean) + 1, () => node.start());
  }

  private crash(kind: string, powerLost: boolean): void {
    const node = this.running();
    if (node === null) return;
    this.world.sim.tally.fault(kind);
    this.world.noteCrash(node);
    node.crash(powerLost);
    this.restartLater(node);
  }

  private powerCut(): void {
    const { sim, share, leased, nodes } = this.world;
    sim.tally.fault("power cut of all");
    for (const node of nodes) {
      if (!node.running) continue;
      node.crash(true);
      this.restartLater(node);
    }
    share.powerCut(this.prng);
    leased.powerCut(this.prng);
  }

  private pause(): void {
    const node = this.running();
    if (node === null) return;
    this.world.sim.tally.fault("process paused");
    const { life } = node;
    node.pause(true);
    const forUs = this.prng.exponential(this.prng.pick([200_000, 1_500_000, 4_000_000]));
    if (forUs > 1_200_000) this.world.sim.tally.situation("owner paused beyond its lease");
    this.world.sim.after(forUs, () => {
      if (node.life === life) node.pause(false);
    });
  }

  private partition(): void {
    const { sim, network } = this.world;
    const places = this.prng.shuffle(this.world.places());
    const split = this.prng.between(1, Math.max(1, places.length - 1));
    const oneWay = this.prng.chance(0.3);
    sim.tally.fault(oneWay ? "partition: one-way" : "partition: two-way");
    const cut: [number, number][] = [];
    for (const a of places.slice(0, split)) {
      for (const b of places.slice(split)) {
        cut.push([a, b]);
        if (!oneWay) cut.push([b, a]);
      }
    }
    for (const [a, b] of cut) network.block(a, b, true);
    sim.after(this.prng.exponential(this.prng.pick([300_000, 2_000_000, 5_000_000])), () => {
      for (const [a, b] of cut) network.block(a, b, false);
    });
  }

  private hangDisk(): void {
    const node = this.running();
    if (node === null) return;
    this.world.sim.tally.fault("disk hung");
    node.disk.hungUntilUs = this.world.sim.nowUs + this.prng.exponential(1_500_000);
  }

  private hangShare(): void {
    this.world.sim.tally.fault("share hung");
    this.world.shareTimes.hungUntilUs = this.world.sim.nowUs + this.prng.exponential(800_000);
  }

  private fillDisk(): void {
    const node = this.running();
    if (node === null) return;
    this.world.sim.tally.fault("disk nearly full");
    node.diskLow = true;
    this.world.sim.after(this.prng.exponential(1_000_000), () => {
      node.diskLow = false;
    });
  }

  /** Somebody else writes the disk full between two looks of its guard. The space comes back after a while. */
  private takeAllSpace(): void {
    const node = this.running();
    if (node === null) return;
    this.world.sim.tally.fault("disk full at once");
    node.disk.space.fill(this.prng.pick([0, 0, 10_000, 600_000]));
    this.world.sim.after(this.prng.exponential(this.prng.pick([500_000, 4_000_000])), () =>
      node.disk.space.empty(),
    );
  }

  private transfer(): void {
    const leader = this.world.nodes.find((node) => node.replica?.leader().isLeader === true && !node.paused);
    if (leader === undefined) return;
    this.world.sim.tally.fault("leadership transfer asked");
    void leader.replica?.transferLeadership(this.prng.pick(this.world.nodes).id);
  }

  private jumpWall(): void {
    const node = this.prng.pick(this.world.nodes);
    this.world.sim.tally.fault("wall clock jump");
    node.clock.jumpWall(this.prng.between(-3_600_000, 3_600_000));
  }
}
