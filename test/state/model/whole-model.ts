import { v1 } from "../../../src/wire/index.js";
import { LeaseBook, type LeasedHandle, type ModelLease } from "./lease-book.js";
import type { Answer } from "./programs.js";
import {
  changesData,
  conflicts,
  forbids,
  H,
  type ModelLock,
  R,
  readsData,
  takesHandles,
  W,
  wantsData,
} from "./rules.js";

const { ErrorCode } = v1;

/** A client and the ends of its connections, of which the latest eight are known. */
export interface ModelClient {
  connected: boolean;
  connection: number;
  ends: { connection: number; atMs: number }[];
}

/** Kept ends of connections: a handle that missed more of them is dated from the oldest. */
const ENDS_KEPT = 8;

/** Milliseconds that a holder has to acknowledge a break. */
export const ACK_MS = 60_000;

/** What an open asks for. */
export interface Wanted {
  readonly id: string;
  readonly client: number;
  readonly path: string;
  readonly access: number;
  readonly share: number;
  readonly key: string;
  readonly asked: number;
  readonly timeoutMs: number;
}

/** A persistent handle. */
export class ModelHandle implements LeasedHandle {
  readonly locks: ModelLock[] = [];
  /** Its create can be replayed until its client has done something with it. */
  used = false;

  constructor(
    readonly wanted: Wanted,
    private readonly owner: ModelClient,
    readonly lease: ModelLease | null,
    public connection: number,
  ) {}

  get path(): string {
    return this.wanted.path;
  }
  get connected(): boolean {
    return this.owner.connected && this.connection === this.owner.connection;
  }
  get data(): boolean {
    return wantsData(this.wanted.access);
  }
  get locked(): boolean {
    return this.locks.length > 0;
  }
  /** When it ends unless its client resumes it; null: its client has it in hand. */
  get deadlineMs(): number | null {
    if (this.connected) return null;
    const end = this.owner.ends.find(({ connection }) => connection >= this.connection);
    return end === undefined ? null : end.atMs + this.wanted.timeoutMs;
  }
}

/** A call that waits, in the order in which calls came. */
export interface Waiter {
  readonly pendingId: number;
  readonly client: number;
  readonly path: string;
  /** What it works on; null: it is an open. */
  readonly handle: ModelHandle | null;
  /** The range that it wants to lock. */
  readonly lock: ModelLock | null;
  readonly attempt: () => Answer;
}

/**
 * Sessions, handles, share modes, byte-range locks and leases in one sequential model: plain lists and the prose of
 * semantics.md (A5 to A8, B2, C5, C6, F1 to F3). What waits is a list too, and is tried again in its order when something has
 * changed at its file.
 */
export class WholeModel {
  nowMs = 0;
  handles: ModelHandle[] = [];
  waiters: Waiter[] = [];
  readonly clients: ModelClient[];
  readonly book = new LeaseBook(
    () => this.handles,
    null,
    () => this.nowMs,
  );

  constructor(clients: number) {
    this.clients = Array.from({ length: clients }, () => ({ connected: true, connection: 1, ends: [] }));
  }

  client(number: number): ModelClient {
    return this.clients[number] as ModelClient;
  }

  /** The connection of a client ends. */
  lost(number: number): void {
    const client = this.client(number);
    if (!client.connected) return;
    client.connected = false;
    client.ends = [...client.ends, { connection: client.connection, atMs: this.nowMs }].slice(-ENDS_KEPT);
  }

  back(number: number): void {
    this.lost(number);
    const client = this.client(number);
    client.connected = true;
    client.connection += 1;
  }

  open(wanted: Wanted): Answer {
    const { path, client, key } = wanted;
    const others = this.handles.filter((handle) => handle.path === path);
    const data = wantsData(wanted.access);
    if (data && others.some((handle) => this.isShut(handle))) return ErrorCode.FILE_NOT_AVAILABLE;
    const inTheWay = others.filter((handle) => conflicts(handle.wanted, wanted));
    const asked: ModelLease[] = [];
    for (const { lease } of inTheWay) {
      const own = lease !== null && key !== "" && lease.client === client && lease.key === key;
      if (lease === null || own || (lease.state & H) === 0) return ErrorCode.SHARING_VIOLATION;
      if (!asked.includes(lease)) asked.push(lease);
    }
    for (const lease of asked) this.book.breakOne(lease, takesHandles);
    if (asked.length > 0) return "wait";
    if (data && this.book.breakOthers(path, client, key, readsData)) return "wait";
    const lease = key === "" ? null : this.book.grant(client, key, path, wanted.asked);
    const owner = this.client(client);
    this.handles.push(new ModelHandle(wanted, owner, lease, owner.connection));
    return "done";
  }

  // A holder that is away and cannot be asked to share closes the file to everybody: without H, or with locks and less than RWH.
  private isShut(handle: ModelHandle): boolean {
    if (handle.connected) return false;
    const state = handle.lease?.state ?? 0;
    return state !== (R | H | W) && (state !== (R | H) || handle.locked);
  }

  write(handle: ModelHandle): Answer {
    handle.used = true;
    return this.breaksOf(handle) ? "wait" : "done";
  }

  private breaksOf({ path, wanted }: ModelHandle): boolean {
    return this.book.breakOthers(path, wanted.client, wanted.key, changesData);
  }

  /** `place`: of the call that waits already; null: it comes just now. */
  lock(handle: ModelHandle, lock: ModelLock, mayWait: boolean, place: number | null): Answer {
    handle.used = true;
    if (this.breaksOf(handle)) return "wait";
    const held = this.handles.some(
      (other) =>
        other.path === handle.path && other.locks.some((own) => forbids(own, lock, other === handle)),
    );
    if (held || this.isBehind(handle, lock, place)) return mayWait ? "wait" : ErrorCode.LOCK_NOT_GRANTED;
    handle.locks.push(lock);
    return "done";
  }

  // Nobody overtakes who waits for the range, but for whom he waits himself.
  private isBehind(handle: ModelHandle, lock: ModelLock, place: number | null): boolean {
    return this.waiters.some((waiter) => {
      const wants = waiter.lock;
      if (wants === null || waiter.path !== handle.path || waiter.handle === handle) return false;
      if (place !== null && waiter.pendingId >= place) return false;
      return forbids(wants, lock, false) && !handle.locks.some((own) => forbids(own, wants, false));
    });
  }

  unlock(handle: ModelHandle, offset: number, length: number): Answer {
    handle.used = true;
    const at = handle.locks.findIndex((held) => held.offset === offset && held.length === length);
    if (at < 0) return ErrorCode.RANGE_NOT_LOCKED;
    handle.locks.splice(at, 1);
    return "done";
  }

  /** A handle ends; answers the calls that end with it. */
  end(handle: ModelHandle): Waiter[] {
    const cancelled = this.waiters.filter((waiter) => waiter.handle === handle);
    this.waiters = this.waiters.filter((waiter) => waiter.handle !== handle);
    this.handles = this.handles.filter((other) => other !== handle);
    this.book.left(handle.lease);
    return cancelled;
  }

  /** The client has the handle in hand again. */
  resume(handle: ModelHandle, used: boolean): void {
    handle.connection = this.client(handle.wanted.client).connection;
    if (used) handle.used = true;
    this.book.delivered(handle.lease);
  }

  acknowledge(client: number, key: string, state: number): Answer {
    const lease = this.book.of(client, key);
    if (lease === undefined) return ErrorCode.OBJECT_NAME_NOT_FOUND;
    const { breaking } = lease;
    if (breaking === null || breaking.stored) return ErrorCode.UNSUCCESSFUL;
    const isState = state === 0 || ((state & R) !== 0 && state <= (R | H | W));
    if (!isState || (state & ~breaking.told) !== 0) return ErrorCode.REQUEST_NOT_ACCEPTED;
    for (const handle of this.handles) if (handle.lease === lease) handle.used = true;
    this.book.acknowledged(lease, state);
    return "done";
  }

  /** What has to end by now. */
  overdueHandles(): ModelHandle[] {
    return this.handles.filter(({ deadlineMs }) => deadlineMs !== null && deadlineMs <= this.nowMs);
  }

  overdueBreaks(): ModelLease[] {
    return this.book.leases.filter(
      ({ breaking }) => breaking !== null && !breaking.stored && breaking.sinceMs + ACK_MS <= this.nowMs,
    );
  }
}
