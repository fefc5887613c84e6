import type { HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { Backoff } from "./backoff.js";
import type { HandleState } from "./handle-state.js";
import type { FileLink } from "./link.js";
import type { Slot } from "./slots.js";

/** What a caller may say about one call. */
export interface CallOptions {
  /** Time limit in ms, failovers included; the session's default if absent, none if Infinity. */
  readonly deadlineMs?: number;
  /** Gives the call up when it fires. */
  readonly signal?: AbortSignal;
  /** False: FILE_NOT_AVAILABLE (somebody else's handle is protected for the moment) is an answer, not a reason to wait. */
  readonly waitForAvailable?: boolean;
}

/** A call as the operations of the library describe it. */
export interface CallSpec {
  /** The frame without id and context. Sent again as it is; handle ids in it are live objects, so a repeat carries the present ones. */
  readonly body: v1.IFileRequest;
  /** It has effects that must happen once: it gets a slot and a sequence. */
  readonly mutating: boolean;
  /** It may wait at the server for long: a lock that somebody else holds. */
  readonly blocking?: boolean;
  /** It changes something, but may be repeated as it is (a write at an offset): no slot. */
  readonly repeatable?: boolean;
  readonly handle?: HandleState;
  /** Payload bytes, for the limit of bytes on the wire. */
  readonly bytes?: number;
  readonly options?: CallOptions | undefined;
}

/** Where a call stands. */
export type CallStage = "queued" | "sent" | "pausing" | "settled";

/** One call from the caller's request to its outcome, over any number of links. */
export class Call {
  readonly id: number;
  readonly spec: CallSpec;
  /** On the monotonic clock; Infinity: none. */
  readonly deadlineAtMs: number;
  readonly promise: Promise<v1.IFileResponse>;
  stage: CallStage = "queued";
  slot: Slot | null = null;
  /** The channel that it was sent on, while its answer is awaited. */
  link: FileLink | null = null;
  sends = 0;
  /** An attempt of it was lost without an answer, or with one that leaves it open: it may have happened. */
  uncertain = false;
  /** It goes out again under the id under which a node has refused it: a repeat, as far as that node can tell. */
  repeated = false;
  /** Its caller was told that the outcome is unknown; it is only followed up. */
  abandoned = false;
  /** A cancel was sent, and the answer to it is awaited. */
  cancelling: HoldfastError | null = null;
  /** How often its handle was taken up again because a node did not have it. */
  reclaims = 0;
  mismatches = 0;
  backoff: Backoff | null = null;
  lastError: HoldfastError | null = null;
  resolve!: (response: v1.IFileResponse) => void;
  reject!: (error: HoldfastError) => void;

  constructor(
    id: number,
    spec: CallSpec,
    deadlineAtMs: number,
    /** On the monotonic clock. */
    readonly begunAtMs: number,
  ) {
    this.id = id;
    this.spec = spec;
    this.deadlineAtMs = deadlineAtMs;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** True if a lost answer leaves open whether it happened. */
  get changesSomething(): boolean {
    return this.spec.mutating || this.spec.repeatable === true;
  }
}
