import type { Runtime } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";
import { type AccessOption, accessBits, type DispositionOption, dispositionOf } from "./access.js";
import { type KindOption, kindOf } from "./access.js";
import type { CallOptions } from "./call.js";
import type { ConnectionState } from "./connection-table.js";
import { readContent, type ReadContentOptions, writeContent, type WriteContentOptions } from "./content.js";
import type { SessionEngine } from "./engine.js";
import type { SessionEvents } from "./events.js";
import { Handle } from "./handle.js";
import { HandleState } from "./handle-state.js";
import type { Outcome } from "./outcomes.js";
import { parsePath } from "./paths.js";

/** How to open a file; everything has a default. */
export interface OpenOptions extends CallOptions {
  /** Default "open". */
  readonly disposition?: DispositionOption;
  /** Default "read-write". */
  readonly access?: AccessOption;
  /** What others may do to the file while this handle is open. Default: everything. */
  readonly shareMode?: v1.IShareMode;
  /** Default "persistent". */
  readonly kind?: KindOption;
  /** 16 bytes that name this open for ever; made by the library if absent. */
  readonly createGuid?: Uint8Array;
  /** How long the handle survives without its client, in ms; the server's default if absent. */
  readonly timeoutMs?: number;
  readonly deleteOnClose?: boolean;
  readonly directory?: boolean;
  readonly lease?: v1.ILeaseRequest;
  readonly appInstance?: v1.IAppInstance;
  /** Opaque bytes kept with the handle, for protocol adapters. */
  readonly blob?: Uint8Array;
  /** Closes this client's own disconnected handles on the file first. */
  readonly closeMyOrphans?: boolean;
}

/** Of a call by path. */
export interface InDirectory {
  /** Key of this client's own lease of the directory: it stays, as the client knows of the change. */
  readonly parentLeaseKey?: Uint8Array;
}

/**
 * A client's session with the cluster: files are opened in it, and it outlives the servers that hold it. Made by
 * `connect`.
 */
export class Session {
  readonly #engine: SessionEngine;
  readonly #runtime: Runtime;
  readonly #onEnd: () => void;

  constructor(engine: SessionEngine, runtime: Runtime, onEnd: () => void = () => {}) {
    this.#engine = engine;
    this.#runtime = runtime;
    this.#onEnd = onEnd;
  }

  /** The id under which operators see it. */
  get id(): number {
    return this.#engine.info?.sessionId ?? 0;
  }

  /** Name of the owning node as last heard. */
  get owner(): string {
    return this.#engine.info?.owner?.node ?? "";
  }

  /** The fencing token as last heard: grows with each change of owner. */
  get epoch(): number {
    return this.#engine.info?.epoch ?? 0;
  }

  /** Address of the node it is attached to; empty while it is looking for one. */
  get address(): string {
    return this.#engine.address;
  }

  get state(): ConnectionState {
    return this.#engine.state;
  }

  /** Names of the shares. */
  get shares(): readonly string[] {
    return this.#engine.info?.shares ?? [];
  }

  /** Listens; the returned function ends it. See `SessionEvents`. */
  on<Name extends keyof SessionEvents>(
    name: Name,
    listener: (event: SessionEvents[Name]) => void,
  ): () => void {
    return this.#engine.events.on(name, listener);
  }

  /** Opens "share:/path". */
  async open(file: string, options: OpenOptions = {}): Promise<Handle> {
    const { share, path } = parsePath(file);
    const createGuid = options.createGuid ?? this.#runtime.random.bytes(16);
    const kind = kindOf(options.kind ?? "persistent");
    const open: v1.IOpenRequest = {
      share,
      path,
      desiredAccess: accessBits(options.access ?? "read-write"),
      shareMode: options.shareMode ?? { read: true, write: true, delete: true },
      disposition: dispositionOf(options.disposition ?? "open"),
      createGuid,
      kind,
      timeoutMs: options.timeoutMs ?? 0,
      deleteOnClose: options.deleteOnClose === true,
      wantDirectory: options.directory === true,
      wantFile: options.directory === false,
      closeMyOrphans: options.closeMyOrphans === true,
    };
    if (options.lease) open.lease = options.lease;
    if (options.appInstance) open.appInstance = options.appInstance;
    if (options.blob) open.blob = options.blob;
    const response = await this.#engine.call({ body: { open }, mutating: true, options });
    const opened = response.open ?? {};
    const state = new HandleState(opened, { share, path, createGuid, kind }, this.#engine);
    this.#engine.handles.add(state);
    return new Handle(state, opened);
  }

  /** What stands at the path; rejects with OBJECT_NAME_NOT_FOUND if nothing does. */
  async stat(file: string, options?: CallOptions): Promise<v1.IFileInfo> {
    const response = await this.#call({ stat: parsePath(file) }, false, options);
    return response.stat?.info ?? {};
  }

  /** The entries of a directory, in pages as they are consumed. */
  async *list(directory: string, options?: CallOptions): AsyncGenerator<v1.IFileInfo> {
    const at = parsePath(directory);
    let after = "";
    for (;;) {
      const response = await this.#call({ list: { ...at, after } }, false, options);
      const entries = response.list?.entries ?? [];
      yield* entries;
      const last = entries.at(-1)?.name;
      if (!response.list?.more || !last) return;
      after = last;
    }
  }

  /** Makes a directory. */
  async mkdir(directory: string, options: CallOptions & InDirectory = {}): Promise<void> {
    const { parentLeaseKey = null } = options;
    await this.#call({ makeDirectory: { ...parsePath(directory), parentLeaseKey } }, true, options);
  }

  /** Removes a file, or with `directory` an empty directory. */
  async remove(
    file: string,
    options: CallOptions & InDirectory & { readonly directory?: boolean } = {},
  ): Promise<void> {
    const { parentLeaseKey = null } = options;
    await this.#call(
      { remove: { ...parsePath(file), directory: options.directory === true, parentLeaseKey } },
      true,
      options,
    );
  }

  /** Renames within a share. */
  async rename(
    from: string,
    to: string,
    options: CallOptions & { readonly replace?: boolean } = {},
  ): Promise<void> {
    const handle = await this.open(from, { ...options, disposition: "open", access: 0x10000 | 0x80 });
    try {
      await handle.rename(to, options);
    } finally {
      await handle.close(options);
    }
  }

  /** The content of a file, piece by piece, read ahead while pieces are consumed. */
  readFile(file: string, options: ReadContentOptions = {}): AsyncGenerator<Uint8Array> {
    return readContent(this, file, options);
  }

  /** Writes a whole file from bytes, text or a stream of pieces; resolves with the number of bytes once they are durable. */
  writeFile(
    file: string,
    source: Uint8Array | string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: WriteContentOptions = {},
  ): Promise<number> {
    return writeContent(this, file, source, options);
  }

  /** What became of a call that ended as OUTCOME_UNKNOWN, by its `extras.requestId`; waits until it is known. */
  resolve(requestId: string, options: { readonly deadlineMs?: number } = {}): Promise<Outcome> {
    return this.#engine.calls.outcomes.wait(requestId, options.deadlineMs ?? Number.POSITIVE_INFINITY);
  }

  /** Most bytes of one read or write on the wire. */
  get chunkBytesMax(): number {
    return this.#engine.info?.chunkBytesMax || 64 * 1024;
  }

  /** Ends the session: its handles close, its locks go. Never rejects; without a cluster it is left to its timeout. */
  async close(options: { readonly deadlineMs?: number } = {}): Promise<void> {
    await this.#engine.close(options.deadlineMs ?? 5_000);
    this.#onEnd();
  }

  /** Walks away without a word, as a crash would: the cluster keeps session and handles until their timeout. */
  abandon(): void {
    this.#engine.stop();
    this.#onEnd();
  }

  #call(body: v1.IFileRequest, mutating: boolean, options?: CallOptions): Promise<v1.IFileResponse> {
    return this.#engine.call({ body, mutating, options });
  }
}
