import type { Prng } from "./prng.js";
import type { Simulation } from "./simulation.js";

/** How a network misbehaves. Probabilities per message, times in microseconds. */
export interface NetworkFaults {
  readonly delayBaseUs: number;
  /** Mean of the exponential part of the delay: what makes messages overtake each other. */
  readonly delayMeanUs: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  /** A copy turns up again long after. */
  readonly replayRate: number;
  readonly replayDelayMaxUs: number;
  /** Messages of one link keep their order, as on one connection. */
  readonly ordered: boolean;
}

/** A network without faults: everything arrives after the base delay, in order. */
export const CALM: NetworkFaults = {
  delayBaseUs: 200,
  delayMeanUs: 50,
  lossRate: 0,
  duplicateRate: 0,
  replayRate: 0,
  replayDelayMaxUs: 0,
  ordered: true,
};

interface Link<T> {
  blocked: boolean;
  /** Messages wait here while the link is clogged. */
  clogged: T[] | null;
  lastArrivalUs: number;
  /** Raised by a reset: what was under way before is lost. */
  generation: number;
}

/** Links between numbered places, each direction apart. Delivery is an event of the simulation. */
export class SimNetwork<T> {
  private readonly links = new Map<string, Link<T>>();
  faults: NetworkFaults = CALM;

  constructor(
    private readonly sim: Simulation,
    private readonly prng: Prng,
    private readonly deliver: (from: number, to: number, payload: T) => void,
    /** Takes the answer of the network: whether what arrives is delivered. */
    private readonly copy: (payload: T) => T = (payload) => payload,
  ) {}

  private link(from: number, to: number): Link<T> {
    const key = `${from}>${to}`;
    let link = this.links.get(key);
    if (link === undefined) {
      link = { blocked: false, clogged: null, lastArrivalUs: 0, generation: 0 };
      this.links.set(key, link);
    }
    return link;
  }

  isBlocked(from: number, to: number): boolean {
    return this.link(from, to).blocked;
  }

  /** Hands a message to the network; it arrives later, never, or several times. */
  send(from: number, to: number, payload: T): void {
    const { faults, prng, sim } = this;
    const link = this.link(from, to);
    if (link.blocked) {
      sim.tally.fault("message into a partition");
      return;
    }
    if (link.clogged !== null) {
      link.clogged.push(payload);
      sim.tally.fault("message into a clogged link");
      return;
    }
    if (faults.lossRate > 0 && prng.chance(faults.lossRate)) {
      sim.tally.fault("message lost");
      return;
    }
    this.schedule(link, from, to, payload, this.delay());
    if (faults.duplicateRate > 0 && prng.chance(faults.duplicateRate)) {
      sim.tally.fault("message duplicated");
      this.schedule(link, from, to, this.copy(payload), this.delay());
    }
    if (faults.replayRate > 0 && prng.chance(faults.replayRate)) {
      sim.tally.fault("message replayed late");
      const again = this.copy(payload);
      sim.after(prng.below(faults.replayDelayMaxUs), () => this.arrive(link, from, to, again));
    }
  }

  private delay(): number {
    const { faults } = this;
    return faults.delayBaseUs + (faults.delayMeanUs > 0 ? this.prng.exponential(faults.delayMeanUs) : 0);
  }

  private schedule(link: Link<T>, from: number, to: number, payload: T, delayUs: number): void {
    let arrival = this.sim.nowUs + Math.round(delayUs);
    if (this.faults.ordered && arrival < link.lastArrivalUs) arrival = link.lastArrivalUs;
    else if (arrival < link.lastArrivalUs) this.sim.tally.fault("message overtaken");
    if (arrival > link.lastArrivalUs) link.lastArrivalUs = arrival;
    const { generation } = link;
    this.sim.at(arrival, () => {
      if (link.generation === generation) this.arrive(link, from, to, payload);
      else this.sim.tally.fault("message lost in a reset");
    });
  }

  private arrive(link: Link<T>, from: number, to: number, payload: T): void {
    if (link.blocked) {
      this.sim.tally.fault("message into a partition");
      return;
    }
    this.deliver(from, to, payload);
  }

  /** Cuts one direction, or restores it. */
  block(from: number, to: number, blocked: boolean): void {
    this.link(from, to).blocked = blocked;
  }

  /** Holds back everything on a link; releasing it delivers all of it at once. */
  clog(from: number, to: number, clogged: boolean): void {
    const link = this.link(from, to);
    if (clogged) {
      link.clogged ??= [];
      return;
    }
    const held = link.clogged;
    link.clogged = null;
    for (const payload of held ?? []) this.schedule(link, from, to, payload, this.faults.delayBaseUs);
  }

  /** Loses what is under way on a link, as a broken connection does. */
  reset(from: number, to: number): void {
    const link = this.link(from, to);
    link.generation++;
    if (link.clogged !== null) link.clogged = [];
  }

  /** Removes all partitions and clogs. Messages under way stay under way. */
  heal(): void {
    for (const [key, link] of this.links) {
      link.blocked = false;
      if (link.clogged !== null) {
        const [from, to] = key.split(">").map(Number) as [number, number];
        this.clog(from, to, false);
      }
    }
  }
}
