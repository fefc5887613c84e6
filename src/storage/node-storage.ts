import type { Clock, KvStore, Meter, Random, Scheduler, WriteOp } from "../runtime/api.js";
import type { ConfState, DurableState, PersistBatch, SnapshotMeta } from "../raft/index.js";
import { CommitQueue, type WriteDone } from "./commit-queue.js";
import { invariant } from "./errors.js";
import {
  FORMAT_VERSION,
  checkIdentity,
  refusePeerDisk,
  type ExpectedIdentity,
  type NodeIdentity,
  type PeerDisk,
} from "./identity.js";
import { appliedKey, logKey, logRange, metaKey, stateKey, stateKeyOf, stateRange } from "./keys.js";
import {
  encodeApplied,
  encodeEntry,
  encodeHardState,
  encodeJson,
  encodeLayout,
  seal,
  unseal,
  type AppliedPosition,
  type Layout,
} from "./records.js";
import { leftovers, recover, recoverLog, type Recovered } from "./recovery.js";
import { SnapshotReceiver, receivingOp, type Receiving } from "./snapshot-receiver.js";
import { StateSnapshot } from "./state-snapshot.js";
import { Sweeper } from "./sweeper.js";

/** What the storage needs from the world. */
export interface StorageWorld {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly meter: Meter;
}

/** A key and its new value; null deletes. The shape of the state machine's `DirtyRecord`. */
export interface StateChange {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** One record of the state as it lies on disk. */
export interface StateRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** What may be set apart from the defaults; tests do. */
export interface StorageOptions {
  /** Most bytes merged into one batch. */
  readonly batchBytesMax?: number;
}

/**
 * Index and term at which the founders of a cluster begin: behind entry 1, which no log holds. So a member that joins
 * later can get the configuration only by a snapshot. From a log that begins at 1 it would learn of the later members
 * alone, and elect among those.
 */
export const FOUNDED_AT = 1;

function positionOf(meta: SnapshotMeta): AppliedPosition {
  return { index: meta.index, term: meta.term, confState: meta.confState, confIndex: meta.confIndex ?? 0 };
}

const NOTHING_FAILED: WriteDone = () => {};
const RECORDS_PER_READ = 1024;
const READ_BYTES = 4 * 1024 * 1024;

/**
 * Everything that a node keeps on its disk, in one store with one write-ahead log: identity, hard state, log, state
 * records, the snapshot that is being received. All writes go through one queue, so their order is that of the calls,
 * and a synced one makes all before it durable.
 *
 * After the first failed write every later one fails (lesson L21); the owner stops the node.
 */
export class NodeStorage {
  readonly #kv: KvStore;
  readonly #world: StorageWorld;
  readonly #queue: CommitQueue;
  readonly #sweeper: Sweeper;
  readonly #peers: Map<number, PeerDisk>;
  #recovered: Recovered;
  #layout: Layout;
  #applied: AppliedPosition;
  #highestGeneration: number;
  /** The generation that readers find; `#layout` runs ahead of it while the batch that installs a snapshot is under way. */
  #readable: number;
  #receiver: SnapshotReceiver | null = null;
  #lastIndex = 0;
  #lastSeq: number | null = null;
  #fileNodeIncarnation: number;
  #ready = false;

  private constructor(kv: KvStore, world: StorageWorld, options: StorageOptions, recovered: Recovered) {
    this.#kv = kv;
    this.#world = world;
    this.#queue = new CommitQueue(kv, world.clock, world.meter, options.batchBytesMax ?? 4 * 1024 * 1024);
    this.#sweeper = new Sweeper(kv, this.#queue, world.scheduler);
    this.#recovered = recovered;
    this.#layout = recovered.layout;
    this.#applied = recovered.applied;
    this.#highestGeneration = recovered.layout.generation;
    this.#readable = recovered.layout.generation;
    this.#peers = recovered.peers;
    this.#fileNodeIncarnation = recovered.fileNodeIncarnation;
  }

  /** Reads what the store says about itself. Rejects with STORAGE_FAILED or UNSUPPORTED_VERSION. */
  static async open(kv: KvStore, world: StorageWorld, options: StorageOptions = {}): Promise<NodeStorage> {
    return new NodeStorage(kv, world, options, await recover(kv));
  }

  /** Null on an empty disk. */
  get identity(): NodeIdentity | null {
    return this.#recovered.identity;
  }

  /** The first write error; the node must stop. */
  get failure(): Error | null {
    return this.#queue.failure;
  }

  /** Called once, at the first write error. */
  onFailure(listener: (error: Error) => void): void {
    this.#queue.onFailure(listener);
  }

  /**
   * Makes an empty disk this node's: identity, and the configuration that the cluster begins with. Durable. `at` is
   * FOUNDED_AT for a founder, zero for a member that joins with an empty configuration.
   */
  async initialise(
    expected: ExpectedIdentity & { readonly incarnation: number },
    confState: ConfState,
    at = 0,
  ): Promise<NodeIdentity> {
    invariant(this.identity === null, "initialise on a disk that has an identity");
    const identity: NodeIdentity = {
      formatVersion: FORMAT_VERSION,
      clusterId: expected.clusterId,
      name: expected.name,
      raftId: expected.raftId,
      incarnation: expected.incarnation,
      diskId: Buffer.from(this.#world.random.bytes(16)).toString("hex"),
    };
    const applied: AppliedPosition = { index: at, term: at, confState, confIndex: at };
    const hardState = { term: at, vote: 0, commit: at };
    const layout = { ...this.#layout, index: at, term: at };
    const key = metaKey("identity");
    const hardStateKey = metaKey("hardState");
    await this.#queue.write(
      [
        { type: "put", key, value: encodeJson(key, identity) },
        { type: "put", key: hardStateKey, value: encodeHardState(hardStateKey, hardState) },
        this.#layoutOp(layout),
        this.#appliedOp(this.#layout.generation, applied),
      ],
      true,
    );
    this.#applied = applied;
    this.#layout = layout;
    this.#recovered = { ...this.#recovered, identity, applied, hardState, layout };
    return identity;
  }

  /** Throws WRONG_CLUSTER or PRECONDITION_FAILED when the disk is somebody else's. */
  checkIdentity(expected: ExpectedIdentity): void {
    invariant(this.identity !== null, "checkIdentity on an empty disk");
    checkIdentity(this.identity, expected);
  }

  /** The next incarnation of the file node on this disk: one more at each start of the process. Durable. */
  async nextFileNodeIncarnation(): Promise<number> {
    const incarnation = ++this.#fileNodeIncarnation;
    const key = metaKey("fileNode");
    await this.#queue.write([{ type: "put", key, value: encodeJson(key, { incarnation }) }], true);
    return incarnation;
  }

  /** Why a peer that says it has this disk is to be refused; null when it is welcome. It is then remembered. */
  admitPeer(said: PeerDisk): string | null {
    const known = this.#peers.get(said.raftId);
    const refusal = refusePeerDisk(known, said);
    if (refusal !== null) return refusal;
    if (known?.incarnation === said.incarnation && known.diskId === said.diskId) return null;
    this.#peers.set(said.raftId, said);
    const key = metaKey(`peer/${said.raftId}`);
    this.#queue.submit([{ type: "put", key, value: encodeJson(key, said) }], false, NOTHING_FAILED);
    return null;
  }

  /**
   * Reads the log and readies the storage for writing; to be called once, after `open` or `initialise`. Sweeps away
   * in the background what earlier crashes left over.
   */
  async loadDurable(): Promise<DurableState> {
    invariant(!this.#ready, "loadDurable twice");
    const durable = await recoverLog(this.#kv, this.#recovered);
    const { receiving } = this.#recovered;
    this.#lastIndex = durable.snapshotIndex + durable.entries.length;
    const inUse = [this.#layout.generation, ...(receiving === null ? [] : [receiving.generation])];
    const left = await leftovers(this.#kv, inUse);
    this.#highestGeneration = left.highest;
    if (receiving !== null) this.#receiver = new SnapshotReceiver(this.#queue, receiving);
    for (const range of left.ranges) this.#sweeper.sweep(range);
    const { generation, index } = this.#layout;
    if (index > 0) this.#sweeper.sweep({ from: logKey(generation, 0), to: logKey(generation, index + 1) });
    this.#ready = true;
    return durable;
  }

  /** Where the state records stand: index, term and configuration that were applied last. */
  get applied(): AppliedPosition {
    return this.#applied;
  }

  /** The state records in key order, batch by batch, as they are now. Rejects with STORAGE_FAILED for a damaged one. */
  async *stateRecords(): AsyncGenerator<StateRecord[]> {
    const view = this.#kv.iterate(stateKey(this.#readable, new Uint8Array()), stateRange(this.#readable).to);
    const read = () => view.next(RECORDS_PER_READ, READ_BYTES);
    let reading = read();
    try {
      for (;;) {
        const pairs = await reading;
        if (pairs.length === 0) return;
        // The disk goes on while the caller works on these. Where the caller stops early, nobody asks how that went.
        reading = read();
        reading.catch(() => undefined);
        yield pairs.map(([key, value]) => ({ key: stateKeyOf(key), value: unseal(stateKeyOf(key), value) }));
      }
    } finally {
      await view.close();
    }
  }

  /**
   * Writes one batch of the core: hard state, an accepted snapshot, truncation and entries, all or nothing. `done`
   * comes when it is durable (or, without `mustSync`, in the store), in the order of `seq`.
   */
  persist(batch: PersistBatch, done: WriteDone): void {
    invariant(this.#ready, "persist before loadDurable");
    invariant(
      this.#lastSeq === null || batch.seq > this.#lastSeq,
      `batch ${batch.seq} after ${this.#lastSeq}`,
    );
    this.#lastSeq = batch.seq;
    const ops: WriteOp[] = [];
    if (batch.hardState !== null) {
      const key = metaKey("hardState");
      ops.push({ type: "put", key, value: encodeHardState(key, batch.hardState) });
    }
    const replaced = batch.snapshot === null ? null : this.#install(batch.snapshot, ops);
    if (batch.entries.length > 0) this.#append(batch.entries, ops);
    if (replaced === null) this.#queue.submit(ops, batch.mustSync, done);
    else this.#queue.submit(ops, true, (error) => this.#installed(replaced, error, done));
  }

  /**
   * Writes what applying changed, together with how far it came (lesson L24). Not synced: a later synced batch covers
   * it, and what a crash takes back is applied again from the log.
   */
  writeState(changes: readonly StateChange[], applied: AppliedPosition, done: WriteDone): void {
    invariant(this.#ready, "writeState before loadDurable");
    invariant(
      applied.index >= this.#applied.index,
      `applied falls from ${this.#applied.index} to ${applied.index}`,
    );
    invariant(
      applied.index <= this.#lastIndex,
      `applied ${applied.index} beyond the log's end ${this.#lastIndex}`,
    );
    const { generation } = this.#layout;
    const ops: WriteOp[] = [];
    for (const { key, value } of changes) {
      const full = stateKey(generation, key);
      if (value === null) ops.push({ type: "del", key: full });
      else ops.push({ type: "put", key: full, value: seal(key, value) });
    }
    ops.push(this.#appliedOp(generation, applied));
    this.#applied = applied;
    this.#queue.submit(ops, false, done);
  }

  /**
   * Forgets the log up to and with `index`, whose term is `term`; at most what is applied. The boundary is written
   * first, then the entries go in slices; a crash in between leaves entries that the next start sweeps away.
   */
  compactLog(index: number, term: number): void {
    invariant(this.#ready, "compactLog before loadDurable");
    invariant(index <= this.#applied.index, `compaction to ${index} beyond applied ${this.#applied.index}`);
    if (index <= this.#layout.index) return;
    const first = this.#layout.index + 1;
    this.#layout = { ...this.#layout, index, term };
    this.#queue.submit([this.#layoutOp(this.#layout)], false, NOTHING_FAILED);
    this.#sweeper.sweep({ generation: this.#layout.generation, first, end: index + 1 });
  }

  /** A consistent view of the state on disk, to be sent to a peer. To be closed. */
  openStateSnapshot(): Promise<StateSnapshot> {
    const { from, to } = stateRange(this.#readable);
    return StateSnapshot.open(this.#kv.iterate(from, to), this.#readable);
  }

  /**
   * Begins to receive a snapshot, or goes on with the one of the same transfer. Another transfer that was under way is
   * dropped and swept away.
   */
  async receiveSnapshot(transferId: string, meta: SnapshotMeta): Promise<SnapshotReceiver> {
    invariant(this.#ready, "receiveSnapshot before loadDurable");
    const current = this.#receiver;
    if (current?.transferId === transferId && current.position.index === meta.index) return current;
    if (current !== null) await this.discardReceived();
    const receiving: Receiving = {
      generation: ++this.#highestGeneration,
      transferId,
      position: positionOf(meta),
      nextSequence: 0,
      records: 0,
      complete: false,
    };
    const receiver = new SnapshotReceiver(this.#queue, receiving);
    this.#receiver = receiver;
    await this.#queue.write([receivingOp(receiving)], false);
    return receiver;
  }

  /** Drops a received snapshot that is not wanted any more. */
  async discardReceived(): Promise<void> {
    const receiver = this.#receiver;
    if (receiver === null) return;
    this.#receiver = null;
    await this.#queue.write([{ type: "del", key: metaKey("receiving") }], false);
    this.#sweeper.sweep(stateRange(receiver.generation));
  }

  /** How long the write under way has been at it: a stalled disk shows here before any error does. */
  oldestPendingSyncMs(): number {
    return this.#queue.oldestPendingSyncMs();
  }

  /** 99th percentile of the latest synced writes in ms. */
  fsyncP99Ms(): number {
    return this.#queue.fsyncP99Ms();
  }

  /** Bytes that wait for the disk: above some bound the owner should take in less. */
  get pendingBytes(): number {
    return this.#queue.pendingBytes;
  }

  /** Resolves when the background deletions asked for so far are done. For tests and orderly stops. */
  idle(): Promise<void> {
    return this.#sweeper.idle();
  }

  /** Waits for what is under way and closes the store. */
  async close(): Promise<void> {
    await this.#sweeper.stop();
    await this.#queue.drain();
    await this.#kv.close();
  }

  /**
   * Puts a received snapshot to use: one small batch changes the generation, and with it log, state and applied index
   * at once. Everything that the snapshot consists of was written before, so the sync of this batch covers it.
   * Answers the generation that is replaced.
   */
  #install(meta: SnapshotMeta, ops: WriteOp[]): number {
    const receiver = this.#receiver;
    invariant(receiver?.complete === true, `snapshot ${meta.index} accepted before it was received`);
    invariant(
      receiver.position.index === meta.index && receiver.position.term === meta.term,
      `snapshot ${meta.index} accepted, but ${receiver.position.index} was received`,
    );
    const old = this.#layout.generation;
    const { generation } = receiver;
    this.#applied = positionOf(meta);
    this.#layout = { generation, index: meta.index, term: meta.term };
    this.#lastIndex = meta.index;
    this.#receiver = null;
    ops.push(this.#appliedOp(generation, this.#applied), this.#layoutOp(this.#layout), {
      type: "del",
      key: metaKey("receiving"),
    });
    return old;
  }

  #installed(replaced: number, error: Error | null, done: WriteDone): void {
    if (error === null) {
      this.#readable = this.#layout.generation;
      this.#sweeper.sweep(stateRange(replaced));
      this.#sweeper.sweep(logRange(replaced));
    }
    done(error);
  }

  #append(entries: PersistBatch["entries"], ops: WriteOp[]): void {
    const { generation } = this.#layout;
    const first = entries[0]?.index ?? 0;
    invariant(first > this.#layout.index, `append at ${first}, which is compacted`);
    invariant(first <= this.#lastIndex + 1, `append at ${first} leaves a gap after ${this.#lastIndex}`);
    let due = first;
    for (const entry of entries) {
      invariant(entry.index === due++, `append out of order at ${entry.index}`);
      const key = logKey(generation, entry.index);
      ops.push({ type: "put", key, value: encodeEntry(key, entry) });
    }
    for (let stale = due; stale <= this.#lastIndex; stale++)
      ops.push({ type: "del", key: logKey(generation, stale) });
    this.#lastIndex = due - 1;
  }

  #appliedOp(generation: number, applied: AppliedPosition): WriteOp {
    const key = appliedKey(generation);
    return { type: "put", key, value: encodeApplied(key, applied) };
  }

  #layoutOp(layout: Layout): WriteOp {
    const key = metaKey("layout");
    return { type: "put", key, value: encodeLayout(key, layout) };
  }
}
