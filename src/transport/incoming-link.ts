import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Scheduler, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { toServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import { makeWelcome, refuseHello, type AdmitPeer, type ProvePeer, type SelfIdentity } from "./handshake.js";
import { invalidMessage } from "./raft-codec.js";

/** The server's side of a link. */
export type LinkCall = ServerDuplexStream<v1.IPeerFrame, v1.IPeerWelcome>;

/** What an incoming link tells its owner. */
export interface IncomingEvents {
  /** The handshake is through. */
  onHello(link: IncomingLink, from: number): void;
  onRefused(refusal: HoldfastError, hello: v1.IPeerHello | null | undefined): void;
  onFrames(from: number, frames: readonly v1.IPeerFrame[]): void;
  onEnded(link: IncomingLink, from: number | null): void;
}

const NO_HELLO = new HoldfastError(ErrorCode.INVALID_ARGUMENT, "the stream ended without a hello");

/** Receives the frames of one peer. Checks everything; what is wrong ends the link with the reason, never the node. */
export class IncomingLink {
  readonly #call: LinkCall;
  readonly #self: SelfIdentity;
  readonly #admit: AdmitPeer;
  readonly #prove: ProvePeer;
  readonly #events: IncomingEvents;
  readonly #helloTimer: Timer;
  #from: number | null = null;
  #ended = false;

  constructor(
    call: LinkCall,
    self: SelfIdentity,
    admit: AdmitPeer,
    prove: ProvePeer,
    scheduler: Scheduler,
    helloTimeoutMs: number,
    events: IncomingEvents,
  ) {
    this.#call = call;
    this.#self = self;
    this.#admit = admit;
    this.#prove = prove;
    this.#events = events;
    this.#helloTimer = scheduler.after(helloTimeoutMs, () =>
      this.end(new HoldfastError(ErrorCode.DEADLINE_EXCEEDED, `no hello within ${helloTimeoutMs} ms`)),
    );
    call.on("data", (frame: v1.IPeerFrame) => this.#frame(frame));
    call.on("end", () => {
      this.end(this.#from === null ? NO_HELLO : null);
    });
    call.on("cancelled", () => this.end(null));
    call.on("error", () => this.end(null));
  }

  /** Ends the link, with the reason for the peer if there is one. */
  end(reason: HoldfastError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#helloTimer.cancel();
    if (reason === null) this.#call.end();
    else this.#call.emit("error", toServiceError(reason));
    this.#events.onEnded(this, this.#from);
  }

  #frame(frame: v1.IPeerFrame): void {
    if (this.#ended) return;
    if (this.#from === null) {
      this.#hello(frame);
      return;
    }
    const wrong = this.#wrong(frame, this.#from);
    if (wrong !== null) {
      this.end(new HoldfastError(ErrorCode.INVALID_ARGUMENT, `malformed frame: ${wrong}`));
      return;
    }
    this.#events.onFrames(this.#from, [frame]);
  }

  #hello(frame: v1.IPeerFrame): void {
    const refusal = refuseHello(frame.hello, this.#self, this.#admit, this.#prove);
    if (refusal !== null) {
      this.#events.onRefused(refusal, frame.hello);
      this.end(refusal);
      return;
    }
    const from = frame.hello?.from ?? 0;
    this.#from = from;
    this.#helloTimer.cancel();
    this.#call.write(makeWelcome(this.#self));
    this.#events.onHello(this, from);
  }

  #wrong(frame: v1.IPeerFrame, from: number): string | null {
    if (frame.raft) {
      for (const message of frame.raft.messages ?? []) {
        const wrong = invalidMessage(message, from, this.#self.raftId);
        if (wrong !== null) return wrong;
      }
      return null;
    }
    if (frame.forward)
      return frame.forward.proposals?.every(isForwarded) ? null : "a forwarded proposal without a command";
    if (frame.forwardRefused || frame.leaseRevoked) return null;
    return frame.hello ? "a second hello" : "an empty frame";
  }
}

function isForwarded(proposal: v1.IForwardedProposal): boolean {
  return Number.isSafeInteger(proposal.proposal) && (proposal.command?.length ?? 0) > 0;
}
