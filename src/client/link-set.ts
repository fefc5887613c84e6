import type { Runtime, Timer } from "../runtime/api.js";
import type { HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { LinkAttempt } from "./attempt.js";
import { Backoff } from "./backoff.js";
import type { FileLink } from "./link.js";
import { Liveness } from "./liveness.js";
import type { ClientSettings } from "./options.js";
import { isFatal } from "./retry.js";
import type { ClientNetwork } from "./transport-api.js";

/** What the channels of a session ask of the session. */
export interface LinkSetOwner {
  onMessage(message: v1.IFileResponse): void;
  /** Puts a ping on this channel. */
  ping(link: FileLink): void;
  /** A further channel is there. */
  added(link: FileLink): void;
  /** A channel broke and others are left; `silent`: the node did not answer on it. */
  lostOne(link: FileLink, reason: string): void;
  /** The last channel broke. */
  lostAll(link: FileLink, reason: string, silent: boolean): void;
}

interface Member {
  readonly link: FileLink;
  readonly liveness: Liveness;
}

const HANDSHAKE_ID = 3;
const PAUSE_FIRST_MS = 50;
const PAUSE_MAX_MS = 5_000;

/**
 * The channels of an attached session (semantics.md H 26): the link of the session step, and as many more, each over a
 * connection of its own, as the program asked for. Each is watched by itself; the session is lost with the last of them.
 */
export class LinkSet {
  readonly #network: ClientNetwork;
  readonly #runtime: Runtime;
  readonly #settings: ClientSettings;
  readonly #owner: LinkSetOwner;
  readonly #pauses: Backoff;
  #members: Member[] = [];
  #bind: (() => v1.ICallContext) | null = null;
  #attempt: { cancel(): void } | null = null;
  #timer: Timer | null = null;

  constructor(network: ClientNetwork, runtime: Runtime, settings: ClientSettings, owner: LinkSetOwner) {
    this.#network = network;
    this.#runtime = runtime;
    this.#settings = settings;
    this.#owner = owner;
    this.#pauses = new Backoff(runtime.random, PAUSE_FIRST_MS, PAUSE_MAX_MS);
  }

  /** The oldest channel; null while the session is attached nowhere. */
  get first(): FileLink | null {
    return this.#members[0]?.link ?? null;
  }

  get size(): number {
    return this.#members.length;
  }

  /** The session step has succeeded on this link. False when it is closed already. */
  begin(link: FileLink): boolean {
    this.#add(link);
    return !link.closed;
  }

  /** Calls flow: binds what is missing to the number of channels that was asked for, now and after each loss. */
  widen(context: () => v1.ICallContext): void {
    this.#bind = context;
    this.#bindNext();
  }

  /** Ends all channels; nobody hears of it. */
  close(silent: boolean): void {
    this.#bind = null;
    this.#attempt?.cancel();
    this.#attempt = null;
    this.#timer?.cancel();
    this.#timer = null;
    const members = this.#members;
    this.#members = [];
    for (const { link, liveness } of members) {
      liveness.stop();
      link.close(silent);
    }
  }

  #add(link: FileLink): void {
    const { pingIntervalMs, silenceLimitMs } = this.#settings;
    const liveness = new Liveness(this.#runtime, {
      pingIntervalMs,
      silenceLimitMs,
      ping: () => this.#owner.ping(link),
      onSilent: (silentMs) =>
        this.#lose(link, `${link.address} was silent for ${Math.round(silentMs)} ms`, true),
    });
    this.#members.push({ link, liveness });
    link.receiver = {
      onMessage: (message) => {
        liveness.heard();
        this.#owner.onMessage(message);
      },
      onClosed: (reason) => this.#lose(link, `${link.address}: ${reason}`, false),
    };
  }

  #lose(link: FileLink, reason: string, silent: boolean): void {
    const at = this.#members.findIndex((member) => member.link === link);
    if (at < 0) return;
    if (this.#members.length === 1) return this.#owner.lostAll(link, reason, silent);
    this.#members.splice(at, 1)[0]?.liveness.stop();
    link.close(silent);
    this.#owner.lostOne(link, reason);
    this.#bindNext();
  }

  #bindNext(): void {
    const { first } = this;
    if (this.#bind === null || first === null || this.#attempt !== null || this.#timer !== null) return;
    if (this.#members.length >= this.#settings.channels) return;
    const { address } = first;
    this.#attempt = new LinkAttempt(
      this.#network,
      this.#runtime,
      {
        address,
        timeoutMs: this.#settings.attemptTimeoutMs,
        first: { id: HANDSHAKE_ID, attach: { bind: { context: this.#bind() } } },
        ownConnection: true,
      },
      { won: ({ link }) => this.#bound(link), failed: (error) => this.#refused(error) },
    );
  }

  #bound(link: FileLink): void {
    this.#attempt = null;
    this.#pauses.reset();
    this.#add(link);
    if (link.closed) this.#lose(link, `${link.address} closed the stream`, false);
    else this.#owner.added(link);
    this.#bindNext();
  }

  // A node that knows no channels, or has no more for us, is served with those that there are.
  #refused(error: HoldfastError): void {
    this.#attempt = null;
    if (isFatal(error.code)) {
      this.#bind = null;
      return;
    }
    this.#timer = this.#runtime.scheduler.after(this.#pauses.next(), () => {
      this.#timer = null;
      this.#bindNext();
    });
  }
}
