import type { KvIterator, KvStore, WriteOp } from "../../src/runtime/index.js";
import type { World } from "./world.js";

/** An ordered store in memory. It outlives the member that uses it; what is not synced is lost with `crash`. */
export class MemoryKv implements KvStore {
  private data = new Map<string, Uint8Array>();
  private durable = new Map<string, Uint8Array>();
  private unsynced = 0;
  private life = 0;
  /** Virtual duration of a synced write. */
  syncMs = 1;
  /** Writes hang while set. */
  hung = false;
  /** The next writes fail with it. */
  failure: Error | null = null;
  private waiting: (() => void)[] = [];

  constructor(private readonly world: World) {}

  write(
    ops: readonly WriteOp[],
    options: { readonly sync: boolean },
    done: (error: Error | null) => void,
  ): void {
    const { life } = this;
    const run = (): void => {
      if (life !== this.life) return;
      if (this.failure !== null) return done(this.failure);
      for (const op of ops) {
        const key = Buffer.from(op.key).toString("hex");
        if (op.type === "put") this.data.set(key, Buffer.from(op.value));
        else this.data.delete(key);
      }
      this.unsynced += ops.length;
      if (options.sync) {
        this.durable = new Map(this.data);
        this.unsynced = 0;
      }
      done(null);
    };
    this.world.scheduler.after(options.sync ? this.syncMs : 0.02, () => {
      if (this.hung) this.waiting.push(run);
      else run();
    });
  }

  resume(): void {
    this.hung = false;
    for (const run of this.waiting.splice(0)) run();
  }

  get(key: Uint8Array): Promise<Uint8Array | null> {
    return Promise.resolve(this.data.get(Buffer.from(key).toString("hex")) ?? null);
  }

  iterate(from: Uint8Array, to: Uint8Array): KvIterator {
    const low = Buffer.from(from).toString("hex");
    const high = Buffer.from(to).toString("hex");
    const found = [...this.data].filter(([key]) => key >= low && key < high);
    found.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    let at = 0;
    return {
      next: (countMax, bytesMax) => {
        const batch: (readonly [Uint8Array, Uint8Array])[] = [];
        let bytes = 0;
        while (at < found.length && batch.length < countMax && (batch.length === 0 || bytes < bytesMax)) {
          const [key, value] = found[at++] as [string, Uint8Array];
          batch.push([Buffer.from(key, "hex"), value]);
          bytes += key.length / 2 + value.length;
        }
        return Promise.resolve(batch);
      },
      close: () => Promise.resolve(),
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** A bit of every state record changes, behind the back of the member. */
  rotState(): void {
    for (const [key, value] of this.data) {
      if (!key.startsWith("30") || key.slice(10, 12) !== "01") continue;
      const rotten = Buffer.from(value);
      rotten[rotten.length - 1] = (rotten[rotten.length - 1] as number) ^ 1;
      this.data.set(key, rotten);
    }
  }

  /** The power goes: what was not synced is lost, callbacks under way never come. */
  crash(): void {
    this.life++;
    this.waiting = [];
    this.hung = false;
    this.data = new Map(this.durable);
    this.unsynced = 0;
  }
}
