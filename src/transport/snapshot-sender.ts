import { Client, type ClientDuplexStream, type MethodDefinition, type ServiceError } from "@grpc/grpc-js";
import type { Timer } from "../runtime/api.js";
import { ErrorCode } from "../wire/errors.js";
import { fromServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import { services } from "../wire/services.js";
import type { PeerTarget, SnapshotSource } from "./api.js";
import { makeHello } from "./handshake.js";
import { channelOptions } from "./options.js";
import type { LinkContext } from "./peer-link.js";

type ChunkStream = ClientDuplexStream<v1.ISnapshotChunk, v1.ISnapshotProgress>;

const INSTALL = services.Peer["InstallSnapshot"] as MethodDefinition<v1.ISnapshotChunk, v1.ISnapshotProgress>;

/** Errors after which the same chunks are worth sending again: the connection broke, nobody said no. */
const TRY_AGAIN = new Set<ErrorCode>([
  ErrorCode.NOT_READY,
  ErrorCode.CANCELLED,
  ErrorCode.DEADLINE_EXCEEDED,
  ErrorCode.OVERLOADED,
]);

/**
 * Sends one snapshot on a connection of its own, so that it does not stand in the way of appends. At most a window of
 * chunks is under way and kept until acknowledged: after a reset exactly those are sent again, and the receiver passes
 * over what it has.
 */
export class SnapshotSender {
  readonly #target: PeerTarget;
  readonly #source: SnapshotSource;
  readonly #context: LinkContext;
  readonly #dialAddress: () => Promise<string>;
  readonly #done: (installed: boolean, reason: string) => void;
  /** Chunks read from the source and not acknowledged, in order. The last chunk stays until the end. */
  #window: v1.ISnapshotChunk[] = [];
  #sent = 0;
  #firstMessage: v1.IRaftMessage | null = null;
  #reading = false;
  #sourceEnded = false;
  #client: Client | null = null;
  #stream: ChunkStream | null = null;
  #stall: Timer | null = null;
  #retry: Timer | null = null;
  #finished = false;

  constructor(
    target: PeerTarget,
    source: SnapshotSource,
    context: LinkContext,
    dialAddress: () => Promise<string>,
    done: (installed: boolean, reason: string) => void,
  ) {
    this.#target = target;
    this.#source = source;
    this.#context = context;
    this.#dialAddress = dialAddress;
    this.#done = done;
    this.#progressed();
    this.#open();
  }

  /** Gives up. */
  abort(reason: string): void {
    this.#finish(false, reason);
  }

  #open(): void {
    this.#dialAddress().then(
      (address) => this.#connect(address),
      (error: Error) => this.#again(error.message),
    );
  }

  #connect(address: string): void {
    if (this.#finished) return;
    const { credentials, options } = this.#context;
    this.#client = new Client(address, credentials, channelOptions(options));
    const stream = this.#client.makeBidiStreamRequest(
      INSTALL.path,
      INSTALL.requestSerialize,
      INSTALL.responseDeserialize,
    );
    this.#stream = stream;
    this.#sent = 0;
    stream.on("data", (progress: v1.ISnapshotProgress) => {
      if (stream === this.#stream) this.#acknowledged(progress);
    });
    stream.on("error", (error: ServiceError) => {
      if (stream === this.#stream) this.#failed(error);
    });
    stream.on("end", () => {
      if (stream === this.#stream) this.#again("the peer ended the stream");
    });
    this.#pump();
  }

  #pump(): void {
    const stream = this.#stream;
    if (stream === null || this.#finished) return;
    while (this.#sent < this.#window.length) {
      const chunk = this.#window[this.#sent] as v1.ISnapshotChunk;
      stream.write(this.#sent === 0 ? this.#introduced(chunk) : chunk);
      this.#sent++;
    }
    if (this.#window.length < this.#context.options.snapshotWindow && !this.#sourceEnded) this.#read();
  }

  #introduced(chunk: v1.ISnapshotChunk): v1.ISnapshotChunk {
    return {
      ...chunk,
      hello: makeHello(this.#context.self, this.#target.raftId, 0),
      message: this.#firstMessage,
    };
  }

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#source.next().then(
      (chunk) => {
        this.#reading = false;
        if (this.#finished) return;
        this.#firstMessage ??= chunk.message ?? null;
        this.#sourceEnded = chunk.last ?? false;
        this.#window.push({ ...chunk, message: null, transferId: this.#source.transferId });
        this.#pump();
      },
      (error: Error) => this.#finish(false, `reading the snapshot failed: ${error.message}`),
    );
  }

  #acknowledged(progress: v1.ISnapshotProgress): void {
    if (progress.transferId !== this.#source.transferId) return;
    if (progress.installed) {
      this.#finish(true, "installed");
      return;
    }
    const next = progress.nextSequence ?? 0;
    while (this.#sent > 0 && (this.#window[0]?.sequence ?? 0) < next && !this.#window[0]?.last) {
      this.#window.shift();
      this.#sent--;
      this.#progressed();
    }
    this.#pump();
  }

  #failed(error: ServiceError): void {
    const typed = fromServiceError(error);
    const reason = `${typed.codeName}: ${typed.message}`;
    if (TRY_AGAIN.has(typed.code)) this.#again(reason);
    else this.#finish(false, reason);
  }

  #again(reason: string): void {
    if (this.#finished) return;
    this.#disconnect();
    const { scheduler, options, log } = this.#context;
    log.debug(
      { peer: this.#target.name, transfer: this.#source.transferId, reason },
      "snapshot stream broke, goes on",
    );
    this.#retry = scheduler.after(options.backoffMaxMs, () => this.#open());
  }

  #progressed(): void {
    const { scheduler, options } = this.#context;
    this.#stall?.cancel();
    this.#stall = scheduler.after(options.snapshotStallMs, () =>
      this.#finish(false, `no progress within ${options.snapshotStallMs} ms`),
    );
  }

  #disconnect(): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.cancel();
    this.#client?.close();
    this.#client = null;
  }

  #finish(installed: boolean, reason: string): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#stall?.cancel();
    this.#retry?.cancel();
    this.#disconnect();
    this.#window = [];
    this.#source.close();
    this.#done(installed, reason);
  }
}
