import type { Runtime, Timer } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";
import { Backoff } from "./backoff.js";
import type { SessionEngine } from "./engine.js";
import type { ClientNetwork, ClientStream } from "./transport-api.js";

/** Longest silence asked of a witness. */
const KEEPALIVE_MS = 1_000;
/** A witness that is silent for this long is left for another. */
const SILENCE_MAX_MS = 3_000;
const PAUSE_FIRST_MS = 50;
const PAUSE_MAX_MS = 5_000;

/**
 * Keeps a registration at a node that is not the session's owner (semantics.md E), and acts on what it says: leaves a dead
 * owner at once, and comes along when the session moves. It also keeps a connection to that node warm, so that the way
 * there costs no dial when it is needed. Everything works without it, only later.
 */
export class WitnessWatcher {
  readonly #network: ClientNetwork;
  readonly #runtime: Runtime;
  readonly #engine: SessionEngine;
  readonly #backoff: Backoff;
  readonly #endings: (() => void)[];
  #stream: ClientStream<never> | null = null;
  #address = "";
  #revision = 0;
  #silence: Timer | null = null;
  #pause: Timer | null = null;
  /** The node that refused or failed last: another one is tried first. */
  #bad = "";
  #closed = false;

  constructor(network: ClientNetwork, runtime: Runtime, engine: SessionEngine) {
    this.#network = network;
    this.#runtime = runtime;
    this.#engine = engine;
    this.#backoff = new Backoff(runtime.random, PAUSE_FIRST_MS, PAUSE_MAX_MS);
    this.#endings = [
      engine.events.on("state", ({ to }) => {
        if (to === "ready") this.#settled();
        else if (to === "closed" || to === "lost") this.close();
      }),
    ];
    this.#settled();
  }

  /** Address of the node where it is registered; empty while it is nowhere. */
  get address(): string {
    return this.#stream === null ? "" : this.#address;
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#endings) end();
    this.#pause?.cancel();
    this.#drop();
  }

  /** The session is at a node again: a witness there would be of no use. */
  #settled(): void {
    if (this.#closed || this.#engine.state !== "ready") return;
    if (this.#stream !== null && this.#address !== this.#engine.address) return;
    this.#drop();
    this.#register();
  }

  #register(): void {
    this.#pause?.cancel();
    this.#pause = null;
    const owner = this.#engine.address;
    const others = this.#engine.endpoints.order().filter((address) => address !== owner);
    const address = others.find((other) => other !== this.#bad) ?? others[0];
    if (address === undefined) return this.#later();
    this.#address = address;
    const request: v1.IWitnessRequest = {
      sessionId: this.#engine.info?.sessionId ?? 0,
      clientGuid: this.#engine.clientGuid,
      resumeRevision: this.#revision,
      keepaliveMs: KEEPALIVE_MS,
    };
    let mine: ClientStream<never> | null = null;
    const current = () => mine !== null && mine === this.#stream;
    mine = this.#network.openWitness(address, request, {
      onMessage: (notice) => {
        if (current()) this.#onNotice(notice);
      },
      onClosed: () => {
        if (current()) this.#failed(false);
      },
    });
    this.#stream = mine;
    this.#listen();
  }

  #listen(): void {
    this.#silence?.cancel();
    this.#silence = this.#runtime.scheduler.after(SILENCE_MAX_MS, () => this.#failed(true));
  }

  #onNotice(notice: v1.IWitnessNotice): void {
    this.#listen();
    if (notice.error) return this.#failed(false);
    this.#backoff.reset();
    this.#bad = "";
    this.#revision = Math.max(this.#revision, notice.revision ?? 0);
    const move = notice.move;
    const known = this.#engine.info?.epoch ?? 0;
    if (move && (move.epoch ?? 0) > known) this.#engine.moveTo(move.to?.grpcAddress);
    // After the move: it names the way, while a lost node alone only says where not to go.
    for (const change of notice.changes ?? [])
      this.#engine.nodeChanged(change.node ?? {}, change.available === true, change.reason ?? "");
  }

  #failed(silent: boolean): void {
    this.#bad = this.#address;
    this.#drop(silent);
    this.#later();
  }

  #later(): void {
    if (this.#closed) return;
    this.#pause = this.#runtime.scheduler.after(this.#backoff.next(), () => {
      this.#pause = null;
      if (!this.#closed && this.#stream === null) this.#register();
    });
  }

  #drop(silent = false): void {
    this.#silence?.cancel();
    this.#silence = null;
    const stream = this.#stream;
    this.#stream = null;
    stream?.close(silent);
  }
}
