import type { WriteOp } from "../../runtime/api.js";
import type { EngineIterator, KvEngine } from "../../storage/engine-store.js";
import type { SimDisk } from "./sim-disk.js";

/** What a batch puts (or, with null, deletes), by key in hexadecimal, which keeps the bytewise order. */
export type Batch = readonly { readonly key: string; readonly value: Uint8Array | null }[];

/** A batch with the number of its sync; zero for one that was not synced. */
export interface Written {
  readonly batch: Batch;
  readonly syncNumber: number;
}

/** One opening of a simulated disk: the database that lies below an `EngineStore`, as RocksDB does in production. */
export class SimEngine implements KvEngine {
  private underWay: Written | null = null;
  private dead = false;
  /** After a write without space it takes no further one, like RocksDB. */
  private refuses: Error | null = null;

  constructor(
    private readonly disk: SimDisk,
    private readonly visible: Map<string, Uint8Array>,
    readonly synced: number,
    /** Completions reach the process that opened it when it runs. */
    private readonly bind: (run: () => void) => () => void,
  ) {}

  write(ops: readonly WriteOp[], syncNumber: number, done: (error: Error | null) => void): void {
    if (this.dead) return;
    const batch = ops.map((op) => ({
      key: hex(op.key),
      value: op.type === "put" ? Uint8Array.from(op.value) : null,
    }));
    this.underWay = { batch, syncNumber };
    this.disk.sim.after(this.disk.delayUs(syncNumber > 0), () => {
      if (this.dead) return;
      const written = this.underWay as Written;
      this.underWay = null;
      const error = this.finish(written);
      this.bind(() => done(error))();
    });
  }

  private finish(written: Written): Error | null {
    const { disk } = this;
    if (this.refuses !== null) return this.refuses;
    if (disk.failsNow(written.syncNumber > 0))
      return new Error("IO error: While fdatasync: simulated failure");
    if (!disk.space.take(growth(this.visible, written.batch))) {
      this.refuses = disk.withoutSpace(written);
      return this.refuses;
    }
    applyBatch(this.visible, written.batch);
    disk.wrote(written);
    return null;
  }

  get(key: Uint8Array): Promise<Uint8Array | null> {
    const value = this.visible.get(hex(key));
    if (value !== undefined) this.disk.noteRead(value);
    // A Buffer, as a database gives: callers may use its methods.
    return Promise.resolve(value === undefined ? null : Buffer.from(value));
  }

  iterate(from: Buffer, to: Buffer, onEnd: (ended: EngineIterator) => void): EngineIterator {
    return new SimView(this.disk, this.visible, hex(from), hex(to), onEnd);
  }

  close(): Promise<void> {
    this.die();
    return Promise.resolve();
  }

  /** A block that was read changes what this opening shows too, unless it was written again since. */
  changed(key: string, before: Uint8Array, after: Uint8Array): void {
    if (this.visible.get(key) === before) this.visible.set(key, after);
  }

  /** The stored value, as this opening would read it. */
  shows(key: string): Uint8Array | undefined {
    return this.visible.get(key);
  }

  /** Nothing is called back any more. Answers what was under way. */
  die(): Written | null {
    this.dead = true;
    const { underWay } = this;
    this.underWay = null;
    return underWay;
  }
}

/** A view of the moment at which it was made. */
class SimView implements EngineIterator {
  private readonly found: [string, Uint8Array][] = [];
  private at = 0;
  private closed = false;
  private aborted: Error | null = null;

  constructor(
    private readonly disk: SimDisk,
    visible: ReadonlyMap<string, Uint8Array>,
    low: string,
    high: string,
    private readonly onEnd: (ended: EngineIterator) => void,
  ) {
    for (const entry of visible) if (entry[0] >= low && entry[0] < high) this.found.push(entry);
    this.found.sort((x, y) => (x[0] < y[0] ? -1 : 1));
  }

  next(countMax: number, bytesMax: number): Promise<readonly (readonly [Uint8Array, Uint8Array])[]> {
    if (this.aborted !== null) return Promise.reject(this.aborted);
    const batch: (readonly [Uint8Array, Uint8Array])[] = [];
    let bytes = 0;
    const more = (): boolean => batch.length < countMax && (batch.length === 0 || bytes < bytesMax);
    while (!this.closed && this.at < this.found.length && more()) {
      const [key, value] = this.found[this.at++] as [string, Uint8Array];
      this.disk.noteRead(value);
      batch.push([Buffer.from(key, "hex"), Buffer.from(value)]);
      bytes += key.length / 2 + value.length;
    }
    return Promise.resolve(batch);
  }

  abort(reason: Error): Promise<void> {
    if (!this.closed) this.aborted = reason;
    return this.close();
  }

  close(): Promise<void> {
    if (!this.closed) this.onEnd(this);
    this.closed = true;
    return Promise.resolve();
  }
}

/** Bytes that a batch adds to what is stored; negative when it frees more. */
function growth(stored: ReadonlyMap<string, Uint8Array>, batch: Batch): number {
  let bytes = 0;
  for (const { key, value } of batch) {
    const before = stored.get(key);
    if (before !== undefined) bytes -= key.length / 2 + before.length;
    if (value !== null) bytes += key.length / 2 + value.length;
  }
  return bytes;
}

/** What a batch does to what is stored. */
export function applyBatch(target: Map<string, Uint8Array>, batch: Batch): void {
  for (const { key, value } of batch) {
    if (value === null) target.delete(key);
    else target.set(key, value);
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("hex");
}
