import { v1 } from "../wire/index.js";
import type { SessionEngine } from "./engine.js";
import type { FileLink } from "./link.js";

/**
 * Where a handle stands on the client's side. `stale`: not yet reconnected on the present link. `lost`: the cluster has
 * closed it (expiry, operator, application takeover), or it was of a kind that does not outlive its connection.
 */
export type HandleStatus = "open" | "stale" | "lost" | "closed";

/** What the library keeps of an open handle so that it can take it up again anywhere. */
export class HandleState {
  /** Shared with every request that names the handle: a reconnect changes `volatile` in place. */
  readonly id: v1.IHandleId;
  readonly createGuid: Uint8Array;
  readonly share: string;
  readonly path: string;
  readonly kind: v1.HandleKind;
  lease: v1.ILeaseGrant | null;
  /** Its calls on the wire, all on one channel: what a program sends on a handle arrives in order. */
  link: FileLink | null = null;
  inFlight = 0;
  status: HandleStatus = "open";
  /** Why it was lost. */
  lostBecause = "";
  /** A close was asked for: its loss is then no news to the caller. */
  closing = false;
  /** Lock buckets in use, bit i-1 for index i, and the number that each will carry next (semantics.md B3). */
  readonly lockNumbers = new Uint8Array(LOCK_BUCKETS);
  readonly lockBusy: boolean[] = Array.from({ length: LOCK_BUCKETS }, () => false);

  constructor(
    opened: v1.IOpenReply,
    origin: {
      readonly share: string;
      readonly path: string;
      readonly createGuid: Uint8Array;
      readonly kind: v1.HandleKind;
    },
    /** The session in which it is: another than at first when it was moved alone. */
    public engine: SessionEngine,
  ) {
    this.id = {
      persistent: opened.handle?.persistent ?? new Uint8Array(0),
      volatile: opened.handle?.volatile ?? 0,
    };
    this.createGuid = origin.createGuid;
    this.share = origin.share;
    this.path = origin.path;
    this.kind = opened.kind ?? origin.kind;
    this.lease = opened.lease ?? null;
  }

  /** Plain handles die with their connection (semantics.md A2). */
  get outlivesConnection(): boolean {
    return this.kind !== v1.HandleKind.PLAIN;
  }

  /** The frame that takes it up on a new link (semantics.md A6): lease with its present state and epoch. */
  reconnectBody(): v1.IReconnectRequest {
    const body: v1.IReconnectRequest = {
      handleId: this.id.persistent ?? new Uint8Array(0),
      volatileId: this.id.volatile ?? 0,
      createGuid: this.createGuid,
      persistent: this.kind === v1.HandleKind.PERSISTENT,
      path: this.path,
    };
    if (this.lease?.key?.length)
      body.lease = {
        key: this.lease.key,
        state: this.lease.state ?? 0,
        epoch: this.lease.epoch ?? 0,
        version: 2,
      };
    return body;
  }

  /** The reconnect was answered. */
  reconnected(reply: v1.IOpenReply): void {
    this.id.volatile = reply.handle?.volatile ?? this.id.volatile ?? 0;
    if (reply.lease) this.lease = reply.lease;
    if (this.status === "stale") this.status = "open";
  }

  /** A free lock bucket, marked busy, or null when all 64 are in use. */
  takeLockBucket(): { readonly index: number; readonly number: number } | null {
    const at = this.lockBusy.indexOf(false);
    if (at < 0) return null;
    this.lockBusy[at] = true;
    return { index: at + 1, number: this.lockNumbers[at] as number };
  }

  /**
   * The lock request in it was answered. After a success its next one is a new generation. After a refusal it is not:
   * the state may never have seen the request, and after fifteen such generations the sixteenth would carry the number
   * of the last success, be taken for its repeat and be answered with a lock that is not there.
   */
  freeLockBucket(index: number, succeeded: boolean): void {
    this.lockBusy[index - 1] = false;
    if (!succeeded) return;
    this.lockNumbers[index - 1] = ((this.lockNumbers[index - 1] as number) + 1) % LOCK_NUMBERS;
  }
}

/** Buckets of a handle and generations of a bucket (semantics.md B3). */
const LOCK_BUCKETS = 64;
const LOCK_NUMBERS = 16;
