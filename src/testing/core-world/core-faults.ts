import type { Prng } from "../sim/prng.js";
import type { SimNetwork } from "../sim/network.js";
import type { Simulation } from "../sim/simulation.js";
import type { CoreNode, Packet } from "./core-node.js";
import type { CoreSettings } from "./swarm.js";

/** What the fault injector may touch. */
export interface FaultTarget {
  readonly sim: Simulation;
  readonly settings: CoreSettings;
  readonly network: SimNetwork<Packet>;
  nodes(): readonly CoreNode[];
  /** Whether faults are still wanted. */
  readonly hostile: boolean;
  /** Whether the group would survive the loss of this member's disk: a majority keeps all it ever stored. */
  mayWipe(node: CoreNode): boolean;
}

/** Lets something happen at random moments, so often on average, as long as faults are wanted. */
export function repeatedly(
  target: { readonly sim: Simulation; readonly hostile: boolean },
  prng: Prng,
  perSecond: number,
  run: () => void,
): void {
  if (perSecond <= 0) return;
  const next = (): void => {
    target.sim.after(prng.exponential(1_000_000 / perSecond), () => {
      if (!target.hostile) return;
      run();
      next();
    });
  };
  next();
}

/** Draws what goes wrong and when. Everything stays within what the group has to survive. */
export class CoreFaults {
  constructor(
    private readonly target: FaultTarget,
    private readonly prng: Prng,
  ) {}

  start(): void {
    const { settings } = this.target;
    this.repeat(settings.crashesPerSecond, () => this.crashOne());
    this.repeat(settings.powerCutsPerSecond, () => this.powerCut());
    this.repeat(settings.pausesPerSecond, () => this.pauseOne());
    this.repeat(settings.partitionsPerSecond, () => this.partition());
    this.repeat(settings.clogsPerSecond, () => this.clog());
    this.repeat(settings.resetsPerSecond, () => this.reset());
    this.repeat(settings.diskHangsPerSecond, () => this.hangDisk());
    this.repeat(settings.clockLeapsPerSecond, () => this.leapClock());
    this.repeat(settings.wipesPerSecond, () => this.wipe());
  }

  private repeat(perSecond: number, run: () => void): void {
    repeatedly(this.target, this.prng, perSecond, run);
  }

  private running(): CoreNode | null {
    const running = this.target.nodes().filter((node) => node.running);
    return running.length === 0 ? null : this.prng.pick(running);
  }

  /** Kills a process or cuts its power, and brings it back: at once, soon, or late. */
  crash(node: CoreNode): void {
    const kill = this.prng.chance(0.3);
    this.target.sim.tally.fault(kill ? "process killed" : "power lost");
    // A killed process loses nothing that it handed to the kernel.
    node.crash(kill);
    this.restartLater(node);
  }

  restartLater(node: CoreNode): void {
    const { sim } = this.target;
    const downUs = this.prng.chance(0.3)
      ? 1
      : this.prng.exponential(this.prng.pick([100_000, 800_000, 4_000_000]));
    sim.after(downUs, () => node.start());
  }

  private crashOne(): void {
    const node = this.running();
    if (node !== null) this.crash(node);
  }

  private powerCut(): void {
    const { sim } = this.target;
    sim.tally.fault("power cut of all");
    for (const node of this.target.nodes()) {
      if (!node.running) continue;
      node.crash(false);
      this.restartLater(node);
    }
  }

  private pauseOne(): void {
    const node = this.running();
    if (node === null) return;
    this.target.sim.tally.fault("process paused");
    node.pause(true);
    const { life } = node;
    this.target.sim.after(this.prng.exponential(this.prng.pick([100_000, 600_000, 2_000_000])), () => {
      if (node.life === life) node.pause(false);
    });
  }

  private partition(): void {
    const { network, sim } = this.target;
    const ids = this.prng.shuffle(this.target.nodes().map((node) => node.id));
    if (ids.length < 2) return;
    const kind = this.prng.pick(["split", "one-way", "isolate", "bridge"] as const);
    sim.tally.fault(`partition: ${kind}`);
    const cut: [number, number][] = [];
    const split = kind === "isolate" ? 1 : this.prng.between(1, ids.length - 1);
    const bridge = kind === "bridge" ? ids[ids.length - 1] : 0;
    for (let i = 0; i < split; i++) {
      for (let j = split; j < ids.length; j++) {
        const [a, b] = [ids[i] as number, ids[j] as number];
        if (a === bridge || b === bridge) continue;
        cut.push([a, b]);
        if (kind !== "one-way") cut.push([b, a]);
      }
    }
    for (const [a, b] of cut) network.block(a, b, true);
    sim.after(this.prng.exponential(this.prng.pick([300_000, 1_500_000, 4_000_000])), () => {
      for (const [a, b] of cut) network.block(a, b, false);
    });
  }

  private pair(): [number, number] | null {
    const ids = this.target.nodes().map((node) => node.id);
    if (ids.length < 2) return null;
    const a = this.prng.pick(ids);
    const b = this.prng.pick(ids.filter((id) => id !== a));
    return [a, b];
  }

  private clog(): void {
    const pair = this.pair();
    if (pair === null) return;
    const { network, sim } = this.target;
    sim.tally.fault("link clogged");
    network.clog(pair[0], pair[1], true);
    sim.after(this.prng.exponential(700_000), () => network.clog(pair[0], pair[1], false));
  }

  private reset(): void {
    const pair = this.pair();
    if (pair === null) return;
    this.target.sim.tally.fault("link reset");
    this.target.network.reset(pair[0], pair[1]);
    const sender = this.target.nodes().find((node) => node.id === pair[0]);
    sender?.act((member) => member.reportUnreachable(pair[1]));
  }

  private hangDisk(): void {
    const node = this.running();
    if (node === null) return;
    this.target.sim.tally.fault("disk hung");
    node.disk.hungUntilUs = this.target.sim.nowUs + this.prng.exponential(1_000_000);
  }

  private leapClock(): void {
    const node = this.running();
    if (node === null) return;
    if (this.prng.chance(0.5)) {
      this.target.sim.tally.fault("clock leap");
      node.clock.leap(this.prng.below(3000));
    } else {
      this.target.sim.tally.fault("clock rate changed");
      const { driftMax } = this.target.settings;
      node.clock.setRate(1 + driftMax * (2 * this.prng.fraction() - 1));
    }
  }

  private wipe(): void {
    const node = this.running();
    if (node === null || !this.target.mayWipe(node)) return;
    this.target.sim.tally.fault("disk wiped");
    node.crash(false);
    node.wiped = true;
  }
}
