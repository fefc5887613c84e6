import type { ServerDuplexStream } from "@grpc/grpc-js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { toServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import type { SnapshotSink } from "./api.js";
import { refuseHello, type AdmitPeer, type ProvePeer, type SelfIdentity } from "./handshake.js";
import { invalidMessage } from "./raft-codec.js";

/** The server's side of a snapshot stream. */
export type SnapshotCall = ServerDuplexStream<v1.ISnapshotChunk, v1.ISnapshotProgress>;

/** What an incoming snapshot stream tells its owner. */
export interface IncomingSnapshotEvents {
  onSnapshot(from: number, first: v1.ISnapshotChunk): SnapshotSink | null;
  /**
   * The sender is known, none of its chunks is stored yet: ends an earlier stream of the same peer and resolves when
   * that has let go of the sink.
   */
  onBegin(from: number, stream: IncomingSnapshot): Promise<void>;
  onEnded(from: number, stream: IncomingSnapshot): void;
}

/**
 * Receives one snapshot stream: one chunk at a time, the next is taken off the wire when the last is stored, so that
 * HTTP/2 flow control slows the sender down to the speed of this disk.
 */
export class IncomingSnapshot {
  readonly #call: SnapshotCall;
  readonly #self: SelfIdentity;
  readonly #admit: AdmitPeer;
  readonly #prove: ProvePeer;
  readonly #events: IncomingSnapshotEvents;
  #from = 0;
  #sink: SnapshotSink | null = null;
  #ended = false;
  #work: Promise<void> = Promise.resolve();

  constructor(
    call: SnapshotCall,
    self: SelfIdentity,
    admit: AdmitPeer,
    prove: ProvePeer,
    events: IncomingSnapshotEvents,
  ) {
    this.#call = call;
    this.#self = self;
    this.#admit = admit;
    this.#prove = prove;
    this.#events = events;
    call.on("data", (chunk: v1.ISnapshotChunk) => {
      call.pause();
      this.#work = this.#work.then(() => this.#take(chunk));
    });
    call.on("end", () => {
      void this.#work.then(() => this.end(null));
    });
    call.on("cancelled", () => this.end(null));
    call.on("error", () => this.end(null));
  }

  /** Ends the stream. What is stored stays, for a stream that goes on with the same transfer. */
  end(reason: HoldfastError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    if (reason === null) this.#call.end();
    else this.#call.emit("error", toServiceError(reason));
    this.#sink?.abort(reason?.message ?? "the stream ended");
    this.#events.onEnded(this.#from, this);
  }

  /** Resolves when no chunk of this stream is being stored any more. */
  async settled(): Promise<void> {
    await this.#work;
  }

  async #take(chunk: v1.ISnapshotChunk): Promise<void> {
    if (this.#ended) return;
    try {
      this.#sink ??= await this.#begin(chunk);
      await this.#sink.chunk(chunk);
      if (this.#ended) return;
      this.#report(chunk, false);
      if (chunk.last) await this.#finish(chunk, this.#sink);
      else this.#call.resume();
    } catch (error) {
      this.end(HoldfastError.from(error));
    }
  }

  async #begin(chunk: v1.ISnapshotChunk): Promise<SnapshotSink> {
    const refusal = refuseHello(chunk.hello, this.#self, this.#admit, this.#prove);
    if (refusal !== null) throw refusal;
    const from = chunk.hello?.from ?? 0;
    const wrong = chunk.message
      ? invalidMessage(chunk.message, from, this.#self.raftId)
      : "no snapshot message";
    if (wrong !== null) throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, `malformed snapshot: ${wrong}`);
    if (!chunk.transferId)
      throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, "malformed snapshot: no transfer id");
    this.#from = from;
    await this.#events.onBegin(from, this);
    const sink = this.#events.onSnapshot(from, chunk);
    if (sink === null) throw new HoldfastError(ErrorCode.PRECONDITION_FAILED, "the snapshot is not wanted");
    return sink;
  }

  async #finish(chunk: v1.ISnapshotChunk, sink: SnapshotSink): Promise<void> {
    const installed = await sink.finish();
    if (this.#ended) return;
    if (!installed) throw new HoldfastError(ErrorCode.PRECONDITION_FAILED, "the snapshot was not installed");
    this.#report(chunk, true);
    this.#ended = true;
    this.#call.end();
    this.#events.onEnded(this.#from, this);
  }

  #report(chunk: v1.ISnapshotChunk, installed: boolean): void {
    this.#call.write({
      transferId: chunk.transferId ?? "",
      nextSequence: this.#sink?.nextSequence ?? 0,
      installed,
    });
  }
}
