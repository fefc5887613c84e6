import type { Runtime, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { FileLink } from "./link.js";
import type { Attempt } from "./race.js";
import type { ClientNetwork } from "./transport-api.js";

/** A link whose first exchange went well, with the answer to it. */
export interface Answered {
  readonly link: FileLink;
  readonly response: v1.IFileResponse;
}

/** Where an attempt goes and what it says first. */
export interface AttemptOptions {
  readonly address: string;
  readonly timeoutMs: number;
  /** The first frame: a ping for a node that shall only show that it is usable, or the session step itself. */
  readonly first: v1.IFileRequest | (() => v1.IFileRequest);
  /** An open link to go on with instead of dialling. */
  readonly link?: FileLink;
  /** Dials over a connection that no other stream shares. */
  readonly ownConnection?: boolean;
}

/**
 * Dials one node and has one exchange with it, within one deadline for both. Whatever it opened is closed again when
 * it fails or is cancelled, a dial that completes too late included.
 */
export class LinkAttempt implements Attempt {
  readonly #options: AttemptOptions;
  readonly #done: { won(result: Answered): void; failed(error: HoldfastError): void };
  readonly #timer: Timer;
  #link: FileLink | null = null;
  #over = false;

  constructor(
    network: ClientNetwork,
    runtime: Runtime,
    options: AttemptOptions,
    done: { won(result: Answered): void; failed(error: HoldfastError): void },
  ) {
    this.#options = options;
    this.#done = done;
    this.#timer = runtime.scheduler.after(options.timeoutMs, () => {
      this.#link?.close(true);
      this.#fail(
        new HoldfastError(
          ErrorCode.DEADLINE_EXCEEDED,
          `${options.address} did not answer within ${options.timeoutMs} ms`,
        ),
      );
    });
    if (options.link === undefined) this.#dial(network);
    else this.#exchange(options.link);
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.#link?.close();
  }

  #dial(network: ClientNetwork): void {
    const { address, timeoutMs } = this.#options;
    const own = this.#options.ownConnection === true;
    FileLink.open(network, address, timeoutMs, this.#receiver(), own).then(
      (link) => {
        if (this.#over) link.close();
        else this.#exchange(link);
      },
      (thrown: unknown) => this.#fail(HoldfastError.from(thrown)),
    );
  }

  #exchange(link: FileLink): void {
    this.#link = link;
    link.receiver = this.#receiver();
    if (link.closed)
      return this.#fail(new HoldfastError(ErrorCode.NOT_READY, `${link.address} closed the stream`));
    const { first } = this.#options;
    link.send(typeof first === "function" ? first() : first);
  }

  #receiver() {
    return {
      onMessage: (response: v1.IFileResponse) => this.#answered(response),
      onClosed: (reason: string) => this.#fail(new HoldfastError(ErrorCode.NOT_READY, reason)),
    };
  }

  #answered(response: v1.IFileResponse): void {
    // A notice is no answer.
    if (this.#over || !response.id) return;
    if (response.error) return this.#fail(HoldfastError.fromDetail(response.error));
    this.#over = true;
    this.#timer.cancel();
    this.#done.won({ link: this.#link as FileLink, response });
  }

  #fail(error: HoldfastError): void {
    if (this.#over) return;
    this.cancel();
    this.#done.failed(error);
  }
}
