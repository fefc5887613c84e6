import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { fromBigInt, type v1 } from "../wire/index.js";
import type { CallOptions, CallSpec } from "./call.js";
import type { HandleState } from "./handle-state.js";
import { parsePath } from "./paths.js";

/** A byte range; up to 2^64-1, so bigints are welcome. */
export interface ByteRange {
  readonly offset: number | bigint;
  readonly length: number | bigint;
}

/** How to lock a range. */
export interface LockOptions extends CallOptions {
  /** False: shared, several holders at once. Default true. */
  readonly exclusive?: boolean;
}

/**
 * An open file. A persistent handle outlives connections, servers and leaders: its operations wait while the cluster
 * recovers and then go on, each done once. All of them reject with HoldfastError; OUTCOME_UNKNOWN is the one that leaves
 * open what happened.
 */
export class Handle {
  readonly #state: HandleState;
  /** What the open did: OPENED, CREATED, OVERWRITTEN or SUPERSEDED. */
  readonly createAction: v1.CreateAction;
  /** The file as it was at the open. */
  readonly info: v1.IFileInfo;

  constructor(state: HandleState, opened: v1.IOpenReply) {
    this.#state = state;
    this.createAction = opened.createAction ?? 0;
    this.info = opened.info ?? {};
  }

  /** The name of the handle that never changes, as `holdfast handles` prints it (lower-case hex). */
  get id(): string {
    return [...(this.#state.id.persistent ?? [])].map((b) => b.toString(16).padStart(2, "0")).join("");
  }

  /** "share:/path". */
  get path(): string {
    return `${this.#state.share}:/${this.#state.path}`;
  }

  /** Id of the session in which it is: one of its own once an operator has moved it alone. */
  get sessionId(): number {
    return this.#state.engine.info?.sessionId ?? 0;
  }

  /** Name of the node that serves it, as last heard. */
  get owner(): string {
    return this.#state.engine.info?.owner?.node ?? "";
  }

  /** The kind that was granted. */
  get kind(): v1.HandleKind {
    return this.#state.kind;
  }

  /** The lease that it shares, with its present state; null without one. */
  get lease(): v1.ILeaseGrant | null {
    return this.#state.lease;
  }

  /** False once it was closed or lost. */
  get isOpen(): boolean {
    return this.#state.status === "open" || this.#state.status === "stale";
  }

  /** Up to `length` bytes from `offset`; fewer only at the end of the file, none beyond it. */
  async read(offset: number, length: number, options?: CallOptions): Promise<Uint8Array> {
    const chunk = this.#chunkBytes();
    if (length <= chunk) return this.#readChunk(offset, length, options);
    const parts: Promise<Uint8Array>[] = [];
    for (let at = 0; at < length; at += chunk)
      parts.push(this.#readChunk(offset + at, Math.min(chunk, length - at), options));
    return joinUntilShort(await Promise.all(parts), chunk);
  }

  /** Writes all of `data` at `offset`. On a persistent handle it is on stable storage when this resolves. */
  async write(offset: number, data: Uint8Array, options?: CallOptions): Promise<void> {
    const chunk = this.#chunkBytes();
    const parts: Promise<v1.IFileResponse>[] = [];
    for (let at = 0; at < data.length || at === 0; at += chunk) {
      const part = data.subarray(at, at + chunk);
      parts.push(
        this.#call({ write: { handle: this.#state.id, offset: offset + at, data: part } }, options, {
          mutating: false,
          repeatable: true,
          bytes: part.length,
        }),
      );
    }
    await Promise.all(parts);
  }

  /** Adds `data` at the end of the file, once, wherever the end is; resolves with the offset that it got. */
  async append(data: Uint8Array, options?: CallOptions): Promise<number> {
    if (data.length > this.#chunkBytes())
      throw new HoldfastError(ErrorCode.LIMIT_EXCEEDED, `an append of ${data.length} bytes`, {
        next: `append at most ${this.#chunkBytes()} bytes at a time`,
      });
    const body = { write: { handle: this.#state.id, offset: 0, data, append: true } };
    const response = await this.#call(body, options, { mutating: true, bytes: data.length });
    return response.write?.offset ?? 0;
  }

  /** Locks a range; waits while somebody else holds it, up to the deadline. */
  async lock(range: ByteRange, options: LockOptions = {}): Promise<void> {
    await this.#lock({ ...element(range), exclusive: options.exclusive !== false }, options, true);
  }

  /** Locks a range if it is free now; false if somebody else holds it. */
  async tryLock(range: ByteRange, options: LockOptions = {}): Promise<boolean> {
    const wanted = {
      ...element(range),
      exclusive: options.exclusive !== false,
      failImmediately: true,
    };
    try {
      await this.#lock(wanted, options, false);
      return true;
    } catch (error) {
      if (error instanceof HoldfastError && error.code === ErrorCode.LOCK_NOT_GRANTED) return false;
      throw error;
    }
  }

  /** Releases a range that was locked with the same bounds. */
  async unlock(range: ByteRange, options?: CallOptions): Promise<void> {
    await this.#lock({ ...element(range), unlock: true, failImmediately: true }, options, false);
  }

  async stat(options?: CallOptions): Promise<v1.IFileInfo> {
    const response = await this.#call({ stat: { handle: this.#state.id } }, options, { mutating: false });
    return response.stat?.info ?? {};
  }

  /** Sets the file's length; what is added reads as zeros. */
  async truncate(size: number, options?: CallOptions): Promise<void> {
    await this.#setInfo({ endOfFile: size }, options);
  }

  /** Marks or unmarks the file for deletion when its last handle closes. */
  async setDeleteOnClose(value: boolean, options?: CallOptions): Promise<void> {
    await this.#setInfo({ deleteOnClose: value }, options);
  }

  /** Everything written through this handle is on stable storage when it resolves. */
  async flush(options?: CallOptions): Promise<void> {
    await this.#call({ flush: { handle: this.#state.id } }, options, { mutating: false });
  }

  /** Renames the open file within its share: "share:/new/path". */
  async rename(target: string, options: CallOptions & { readonly replace?: boolean } = {}): Promise<void> {
    const body = {
      rename: {
        handle: this.#state.id,
        targetPath: this.#sameShare(target),
        replace: options.replace === true,
      },
    };
    await this.#call(body, options, { mutating: true });
  }

  /** Gives the open file a second name within its share. */
  async link(target: string, options: CallOptions & { readonly replace?: boolean } = {}): Promise<void> {
    const body = {
      link: {
        handle: this.#state.id,
        targetPath: this.#sameShare(target),
        replace: options.replace === true,
      },
    };
    await this.#call(body, options, { mutating: true });
  }

  /** Closes it and releases its locks. Resolves also if the cluster had closed it before. */
  async close(options?: CallOptions): Promise<v1.IFileInfo> {
    const state = this.#state;
    if (state.status === "lost" || state.status === "closed") return {};
    state.closing = true;
    try {
      const response = await this.#call({ close: { handle: state.id } }, options, { mutating: true });
      this.#closed();
      return response.close?.info ?? {};
    } catch (error) {
      // Whoever closed it: it is closed, and that was wanted.
      if (!(error instanceof HoldfastError) || error.code !== ErrorCode.FILE_CLOSED) throw error;
      this.#closed();
      return {};
    } finally {
      state.closing = false;
    }
  }

  #closed(): void {
    this.#state.status = "closed";
    this.#state.engine.handleEnded(this.#state);
  }

  async #readChunk(offset: number, length: number, options?: CallOptions): Promise<Uint8Array> {
    try {
      const response = await this.#call({ read: { handle: this.#state.id, offset, length } }, options, {
        mutating: false,
      });
      return response.read?.data ?? new Uint8Array(0);
    } catch (error) {
      if (error instanceof HoldfastError && error.code === ErrorCode.END_OF_FILE) return new Uint8Array(0);
      throw error;
    }
  }

  async #lock(wanted: v1.ILockElement, options: CallOptions | undefined, blocking: boolean): Promise<void> {
    const bucket = this.#state.takeLockBucket();
    const body = {
      lock: {
        handle: this.#state.id,
        sequenceIndex: bucket?.index ?? 0,
        sequenceNumber: bucket?.number ?? 0,
        elements: [wanted],
      },
    };
    try {
      await this.#call(body, options, { mutating: true, blocking });
    } catch (error) {
      // An open outcome may still use the bucket: it stays taken.
      const open = error instanceof HoldfastError && error.code === ErrorCode.OUTCOME_UNKNOWN;
      if (bucket !== null && !open) this.#state.freeLockBucket(bucket.index, false);
      throw error;
    }
    if (bucket !== null) this.#state.freeLockBucket(bucket.index, true);
  }

  async #setInfo(change: v1.ISetInfoRequest, options?: CallOptions): Promise<void> {
    await this.#call({ setInfo: { handle: this.#state.id, ...change } }, options, { mutating: true });
  }

  #call(
    body: v1.IFileRequest,
    options: CallOptions | undefined,
    spec: Omit<CallSpec, "body" | "handle" | "options">,
  ): Promise<v1.IFileResponse> {
    return this.#state.engine.call({ ...spec, body, handle: this.#state, options });
  }

  #chunkBytes(): number {
    return this.#state.engine.info?.chunkBytesMax || 64 * 1024;
  }

  #sameShare(target: string): string {
    const parsed = parsePath(target);
    if (parsed.share !== this.#state.share)
      throw new HoldfastError(
        ErrorCode.INVALID_PARAMETER,
        `${target} is in another share than ${this.path}`,
        {
          next: "copy the file and remove the original",
        },
      );
    return parsed.path;
  }
}

function element(range: ByteRange): { offset: number; length: number } {
  return { offset: fromBigInt(BigInt(range.offset)), length: fromBigInt(BigInt(range.length)) };
}

/** Joins chunks that were read side by side; behind the first short one the file had ended. */
function joinUntilShort(parts: readonly Uint8Array[], chunk: number): Uint8Array {
  const short = parts.findIndex((part) => part.length < chunk);
  const used = short < 0 ? parts : parts.slice(0, short + 1);
  const joined = new Uint8Array(used.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of used) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
