import { type Break, type BreakRule, R, STATES, W } from "./rules.js";

/** A lease as the models know it. */
export interface ModelLease {
  readonly client: number;
  readonly key: string;
  readonly path: string;
  /** Its client's lease of the directory, which ends by nothing that is done under this one. */
  readonly parent: string;
  state: number;
  epoch: number;
  /** Present while it is being broken; `sinceMs`: when its holder was told last. */
  breaking: { told: number; required: number; stored: boolean; sinceMs: number } | null;
}

/** What the leases of a file have to know of the handles on it. */
export interface LeasedHandle {
  readonly path: string;
  readonly lease: ModelLease | null;
  readonly connected: boolean;
  /** Opened for data, not for attributes alone. */
  readonly data: boolean;
  readonly locked: boolean;
}

/** All leases of a model (semantics.md F3, C6): grants, upgrades, breaks told, stored and lowered. */
export class LeaseBook {
  leases: ModelLease[] = [];

  constructor(
    private readonly handles: () => readonly LeasedHandle[],
    /** The path that is a directory: nobody writes to one. */
    private readonly directory: string | null = null,
    private readonly nowMs: () => number = () => 0,
  ) {}

  of(client: number, key: string): ModelLease | undefined {
    return this.leases.find((lease) => lease.client === client && lease.key === key);
  }

  isHeld(lease: ModelLease): boolean {
    return this.handles().some((handle) => handle.lease === lease);
  }

  private isReachable(lease: ModelLease): boolean {
    return this.handles().some((handle) => handle.lease === lease && handle.connected);
  }

  /** What an operation does to the leases of others; true when it has to wait for one of them. */
  breakOthers(path: string, client: number, key: string, rule: BreakRule): boolean {
    let mustWait = false;
    for (const lease of this.leases) {
      if (lease.path !== path || (key !== "" && lease.client === client && lease.key === key)) continue;
      if (this.breakOne(lease, rule)) mustWait = true;
    }
    return mustWait;
  }

  breakOne(lease: ModelLease, rule: BreakRule): boolean {
    const does = rule(lease.state);
    if (does === null) return false;
    if (lease.breaking !== null) lease.breaking.required &= does.to;
    else if (!this.isReachable(lease)) this.store(lease, does);
    else if (does.ack) this.tell(lease, does.to);
    else this.change(lease, does.to);
    return does.wait && lease.state !== 0;
  }

  /** Nobody can be told: a mere read cache ends, more is kept until the holder is back. */
  private store(lease: ModelLease, does: Break): void {
    if (lease.state === R) this.change(lease, 0);
    else this.keep(lease, lease.state & does.to);
  }

  private keep(lease: ModelLease, required: number): void {
    lease.breaking = { told: lease.state, required, stored: true, sinceMs: 0 };
  }

  private tell(lease: ModelLease, to: number): void {
    lease.breaking = { told: to, required: to, stored: false, sinceMs: this.nowMs() };
    lease.epoch += 1;
  }

  private change(lease: ModelLease, state: number): void {
    if (lease.state !== state) lease.epoch += 1;
    lease.state = state;
  }

  /** The holder is back: what was kept for it goes out. */
  delivered(lease: ModelLease | null): void {
    if (lease?.breaking?.stored) this.tell(lease, lease.breaking.required);
  }

  /** The holder did not answer in time: it has nothing left, unless it is away and has had no chance. */
  expired(lease: ModelLease): void {
    if (this.isReachable(lease)) {
      lease.state = 0;
      lease.breaking = null;
    } else this.keep(lease, lease.breaking?.required ?? 0);
  }

  /** An acknowledgement that was accepted. More may have been asked for meanwhile: a second notice. */
  acknowledged(lease: ModelLease, state: number): void {
    const required = lease.breaking?.required ?? 0;
    lease.state = state;
    if ((state & ~required) !== 0) this.tell(lease, state & required);
    else lease.breaking = null;
  }

  grant(client: number, key: string, path: string, asked: number, parent = ""): ModelLease {
    const known = this.of(client, key);
    const lease = known ?? { client, key, path, parent, state: 0, epoch: 0, breaking: null };
    if (known === undefined) this.leases.push(lease);
    if (lease.breaking === null) this.change(lease, this.granted(lease, asked));
    return lease;
  }

  /** Never less than before; without W, then without H, then nothing, when more cannot be had. */
  private granted(lease: ModelLease, wanted: number): number {
    if (!STATES.includes(wanted)) return lease.state;
    const asked = lease.path === this.directory ? wanted & ~W : wanted;
    const others = this.handles().filter((handle) => handle.path === lease.path && handle.lease !== lease);
    const opens = others.some((handle) => handle.data);
    const locks = others.some((handle) => handle.locked);
    const coming = this.leases
      .filter((other) => other !== lease && other.path === lease.path)
      .map((other) => (other.breaking === null ? other.state : other.state & other.breaking.required));
    const writers = coming.some((state) => (state & W) !== 0);
    const caches = coming.some((state) => state !== 0);
    for (const want of [asked, asked & ~W, asked & R, 0]) {
      // W and H come together or in order: a holder of one is not given the other without the whole.
      if ((want & lease.state) !== lease.state) continue;
      if ((want & W) !== 0 && (opens || caches)) continue;
      if (want !== 0 && (writers || locks)) continue;
      return want;
    }
    return lease.state;
  }

  /** The last handle of a lease takes it along. */
  left(lease: ModelLease | null): void {
    if (lease !== null && !this.isHeld(lease)) this.leases = this.leases.filter((other) => other !== lease);
  }
}
