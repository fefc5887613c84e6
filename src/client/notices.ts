import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { sameBytes } from "../wire/same-bytes.js";
import type { CallSpec } from "./call.js";
import type { Emitter } from "./emitter.js";
import type { SessionEvents } from "./events.js";
import type { HandleState } from "./handle-state.js";

/** What a notice may change at the session that it came to. */
export interface NoticeOwner {
  readonly handles: ReadonlySet<HandleState>;
  /** Where the program listens. */
  readonly programEvents: Emitter<SessionEvents>;
  /** Handles of the client in whichever session: a lease is the client's. */
  allHandles(): readonly HandleState[];
  call(spec: CallSpec): Promise<v1.IFileResponse>;
  /** The session belongs to the node at this address now. */
  moveTo(address: string | null | undefined): void;
  /** It will soon. */
  prepare(address: string): void;
  /** The node that it is attached to stops. */
  nodeStops(): void;
  /** The handle has moved alone, to a session derived from this one. */
  follow(handle: HandleState, sessionId: number, owner: v1.INodeAddress | undefined): void;
  loseHandle(handle: HandleState, error: HoldfastError): void;
}

/** What a node tells a session without being asked. */
export class Notices {
  /** Epoch of the latest break of each lease that was told on the present links. */
  readonly #breaksHeard = new Map<string, number>();

  constructor(private readonly owner: NoticeOwner) {}

  /** Attached anew: the node tells again which breaks wait for an answer. */
  attached(): void {
    this.#breaksHeard.clear();
  }

  receive(notice: v1.INotice): void {
    if (notice.leaseBreak) return this.#leaseBreak(notice.leaseBreak);
    if (notice.moveTo) return this.owner.moveTo(notice.moveTo.grpcAddress);
    if (notice.moveSoon?.grpcAddress) return this.owner.prepare(notice.moveSoon.grpcAddress);
    if (notice.handleClosed?.length) return this.#handleClosed(notice.handleClosed);
    if (notice.handleMoved) return this.#handleMoved(notice.handleMoved);
    if (notice.closing) this.owner.nodeStops();
  }

  #leaseBreak(broken: v1.ILeaseBreak): void {
    const key = broken.key ?? new Uint8Array(0);
    // Every channel brings a copy; the epoch grows with each break.
    const name = key.join();
    if (this.#breaksHeard.get(name) === (broken.epoch ?? 0)) return;
    this.#breaksHeard.set(name, broken.epoch ?? 0);
    const breakTo = broken.breakTo ?? 0;
    for (const handle of this.owner.allHandles())
      if (handle.lease !== null && sameBytes(handle.lease.key, key))
        handle.lease = { ...handle.lease, state: breakTo, epoch: broken.epoch ?? 0 };
    const acknowledge = async (state = breakTo) => {
      await this.owner.call({ body: { ackLease: { key, state } }, mutating: false });
    };
    const ackRequired = broken.ackRequired === true;
    const heard = this.owner.programEvents.emit("leaseBreak", { key, breakTo, ackRequired, acknowledge });
    // The library itself caches nothing, so without a listener there is nothing to flush.
    if (!heard && ackRequired) acknowledge().catch(() => undefined);
  }

  #handleMoved(moved: v1.IHandleMoved): void {
    for (const handle of this.owner.handles)
      if (sameBytes(handle.id.persistent, moved.handleId))
        this.owner.follow(handle, moved.sessionId ?? 0, moved.owner ?? undefined);
  }

  #handleClosed(persistent: Uint8Array): void {
    const why = "closed by the cluster (operator, expiry or takeover)";
    for (const handle of this.owner.handles)
      if (sameBytes(handle.id.persistent, persistent))
        this.owner.loseHandle(handle, new HoldfastError(ErrorCode.FILE_FORCED_CLOSED, why));
  }
}
