import type { v1 } from "../wire/index.js";
import { FileTail } from "./file-tail.js";
import { idKey } from "./ids.js";
import { type RangeLock, rangeLock } from "./range-locks.js";
import type { OpenHandle } from "./sessions.js";

/** An I/O under way. */
interface RunningIo {
  readonly handle: string;
  readonly offset: number;
  readonly last: number;
  readonly write: boolean;
}

/** What this node knows of a file that it has or had open: the locks of all handles anywhere, and its own I/O under way. */
export class OpenFile {
  locks: RangeLock[] = [];
  /** Revision of the latest whole lock table taken over: events and answers may overtake each other. */
  locksRevision = 0;
  /** Handles here. */
  handles = 0;
  /** Appends are given their offsets one after the other. */
  appends: Promise<unknown> = Promise.resolve();
  /** Grants of leases on the file that this node has heard of; each may have to be broken before the next write. */
  leaseGrants = 1;
  /** When a write was last begun here, on the monotonic clock. */
  lastWriteMs = Number.NEGATIVE_INFINITY;
  readonly tail = new FileTail();
  /** Handles that have written here since they were opened. */
  readonly writers = new Set<OpenHandle>();
  /** How many of the grants were broken for writes under a lease key. */
  private readonly broken = new Map<string, number>();
  /** What single handles held at revisions that the latest table does not cover: an older one may still be on its way. */
  private readonly ownLocks = new Map<string, { readonly revision: number; readonly locks: RangeLock[] }>();
  /** Announced at such revisions. */
  private announced: { readonly revision: number; readonly lock: RangeLock }[] = [];
  private readonly running = new Set<RunningIo>();
  private waiters: (() => void)[] = [];

  constructor(
    readonly share: string,
    readonly fileId: string,
  ) {}

  /** The whole table, as it was at this revision: it ends what was told before, and nothing that was told after. */
  setLocks(locks: readonly v1.IFileLock[], revision: number): void {
    if (revision < this.locksRevision) return;
    this.locksRevision = revision;
    for (const [handle, own] of this.ownLocks) if (own.revision < revision) this.ownLocks.delete(handle);
    this.announced = this.announced.filter((later) => later.revision >= revision);
    const table = locks.map((lock) => rangeLock(idKey(lock.handleId), lock));
    this.locks = table.filter((lock) => !this.ownLocks.has(lock.handle));
    for (const own of this.ownLocks.values()) this.locks.push(...own.locks);
    this.locks.push(...this.announced.map((later) => later.lock));
  }

  /** The handle was closed. */
  dropLocksOf(handle: string, revision: number): void {
    this.setLocksOf(handle, [], revision);
  }

  /** Locks that are about to be granted elsewhere: in force until a later table says what became of them. */
  announce(ranges: readonly v1.IFileLock[], revision: number): void {
    if (revision < this.locksRevision) return;
    const locks = ranges.map((lock) => rangeLock(idKey(lock.handleId), lock));
    this.announced.push(...locks.map((lock) => ({ revision, lock })));
    this.locks = [...this.locks, ...locks];
  }

  /** One handle's part of the table, from the answer to its own lock call. */
  setLocksOf(handle: string, locks: readonly v1.ILockRecord[], revision: number): void {
    if (revision < Math.max(this.locksRevision, this.ownLocks.get(handle)?.revision ?? 0)) return;
    const own = locks.map((lock) => rangeLock(handle, lock));
    this.ownLocks.set(handle, { revision, locks: own });
    this.announced = this.announced.filter(
      (later) => later.lock.handle !== handle || later.revision > revision,
    );
    const others = this.locks.filter((lock) => lock.handle !== handle);
    const later = this.announced.map(({ lock }) => lock).filter((lock) => lock.handle === handle);
    this.locks = [...others, ...own, ...later];
  }

  /** True when leases may stand against a write of a handle with this lease key. */
  leasesPossible(key: Uint8Array | null | undefined): boolean {
    return (this.broken.get(idKey(key)) ?? 0) < this.leaseGrants;
  }

  /** All leases of others that were granted when `grants` was read are broken. */
  leasesBroken(key: Uint8Array | null | undefined, grants: number): void {
    this.broken.set(idKey(key), grants);
  }

  /** Nobody has it open here, so nobody says any more which leases are granted: the next write asks. */
  forgetLeases(): void {
    this.broken.clear();
  }

  /** A write begins. */
  noteWriter(handle: OpenHandle, nowMs: number): void {
    this.writers.add(handle);
    this.lastWriteMs = nowMs;
  }

  begin(handle: string, offset: number, length: number, write: boolean): RunningIo {
    const io = { handle, offset, last: offset + length - 1, write };
    this.running.add(io);
    return io;
  }

  end(io: RunningIo): void {
    this.running.delete(io);
    if (this.waiters.length === 0) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves once no I/O is under way that the present locks would refuse: only then does a new lock hold. */
  async settled(): Promise<void> {
    while (this.anyConflict()) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }

  /** Resolves once no write is under way that ends beyond this offset. */
  async writesEnded(from: number): Promise<void> {
    while (this.anyWriteBeyond(from)) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }

  private anyWriteBeyond(from: number): boolean {
    for (const io of this.running) if (io.write && io.last >= from) return true;
    return false;
  }

  private anyConflict(): boolean {
    for (const io of this.running)
      for (const lock of this.locks) {
        if (lock.handle === io.handle || lock.offset > io.last || lock.last < io.offset) continue;
        if (io.write || lock.exclusive) return true;
      }
    return false;
  }
}

/**
 * The files that this node has open, by share and identity, and those that it had open last. What was heard of a file must
 * outlive its last handle here: the answer to another open of it may be on its way, older than the lock or the closed tail
 * that this node has promised to keep.
 */
export class OpenFiles {
  private readonly files = new Map<string, OpenFile>();
  /** Without handles, in the order in which they lost the last one. */
  private readonly idle = new Set<OpenFile>();

  constructor(private readonly idleMax = 1024) {}

  take(share: string, fileId: string): OpenFile {
    const key = keyOf(share, fileId);
    let file = this.files.get(key);
    if (file === undefined) {
      file = new OpenFile(share, fileId);
      this.files.set(key, file);
    } else if (file.handles === 0) this.idle.delete(file);
    file.handles += 1;
    return file;
  }

  give(file: OpenFile): void {
    file.handles -= 1;
    if (file.handles > 0) return;
    file.forgetLeases();
    this.idle.add(file);
    if (this.idle.size <= this.idleMax) return;
    const [oldest] = this.idle;
    if (oldest === undefined) return;
    this.idle.delete(oldest);
    this.files.delete(keyOf(oldest.share, oldest.fileId));
  }

  find(share: string, fileId: string): OpenFile | undefined {
    return this.files.get(keyOf(share, fileId));
  }
}

function keyOf(share: string, fileId: string): string {
  return `${share}\0${fileId}`;
}
