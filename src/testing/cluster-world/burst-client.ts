import type { Handle, Session } from "../../client/index.js";
import { HoldfastError } from "../../wire/errors.js";
import type { Prng } from "../sim/prng.js";
import type { SimProcess } from "../sim/sim-process.js";
import { Violation } from "../sim/simulation.js";
import { encode, text } from "./cluster-client.js";
import type { ClusterWorld } from "./cluster-world.js";

const RECORD_BYTES = 16;
const WRITERS = 5;
const DEADLINE_MS = 8_000;

/**
 * Several writers over one handle, each with a place of its own: writes queue up at the owner, so that one that stops or
 * is deposed has some that did not reach the share yet. None of them may arrive after a later one was acknowledged.
 */
export class BurstClient {
  private session: Session | null = null;
  private handle: Promise<Handle> | null = null;
  private serial = 0;
  private stopped = false;

  constructor(
    readonly id: number,
    private readonly world: ClusterWorld,
    private readonly process: SimProcess,
    private readonly prng: Prng,
  ) {}

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: WRITERS }, (_, place) => this.write(place)));
  }

  get name(): string {
    return `burst ${this.id}`;
  }

  stop(): void {
    this.stopped = true;
  }

  private async write(place: number): Promise<void> {
    let certain = "";
    const possible = new Set<string>();
    while (!this.stopped) {
      const handle = this.opened();
      try {
        const open = await handle;
        const seen = text(await open.read(place * RECORD_BYTES, RECORD_BYTES));
        if (seen !== certain && !possible.has(seen))
          throw new Violation(
            "acknowledged write lost",
            `place ${place} of burst ${this.id} shows "${seen}"; last acknowledged is "${certain}", possible ` +
              [...possible].join(" "),
          );
        for (let n = this.prng.pick([1, 1, 4]); n > 0; n--) {
          const value = `${this.id}.${place}.${++this.serial}`;
          possible.add(value);
          await open.write(place * RECORD_BYTES, encode(value));
          certain = value;
          possible.clear();
        }
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        if (this.handle === handle) this.lost();
        await this.world.pause(100_000);
      }
      await this.world.pause(this.prng.exponential(this.prng.pick([500, 20_000, 400_000])));
    }
  }

  private lost(): void {
    this.session?.abandon();
    this.session = null;
    this.handle = null;
  }

  private opened(): Promise<Handle> {
    this.handle ??= this.open();
    return this.handle;
  }

  private async open(): Promise<Handle> {
    const session = await this.world.population.connect(this.id, this.process, {
      nodes: this.prng.shuffle(this.world.addresses),
      clientName: this.name,
      deadlineMs: DEADLINE_MS,
    });
    this.session = session;
    return session.open(`demo:/burst-${this.id}`, { disposition: "open-if", access: "read-write" });
  }
}
