import type { Runtime, Timer } from "../runtime/api.js";
import type { StateView } from "../state/index.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import { sameBytes } from "../wire/same-bytes.js";
import type { Watch, WatchHub } from "./watch-hub.js";

/** What the witness is made of. */
export interface WitnessDeps {
  readonly runtime: Runtime;
  /** Name of the node that runs it. */
  readonly node: string;
  readonly state: () => StateView;
  readonly hub: WatchHub;
}

/** Where a registration's notices go. False: nothing more can be taken now; `resume` is called when it can. */
export type WitnessSink = (notice: v1.IWitnessNotice) => boolean;

/** Availability changes that may wait for one slow client; beyond it the client is told to look at everything anew. */
export const CHANGES_QUEUED_MAX = 256;
const KEEPALIVE_MS_DEFAULT = 5_000;
const KEEPALIVE_MS_MIN = 100;
const KEEPALIVE_MS_MAX = 120_000;

const KINDS: ReadonlySet<string> = new Set([
  "node-up",
  "node-down",
  "node-left",
  "session-moved",
  "session-closed",
  "session-expired",
  "session-replaced",
]);

/**
 * Tells clients of what happens at their owner, from a node that is not the owner (semantics.md E): the dead cannot
 * report their own death. Changes of availability are queued, none is left out; of moves only the latest counts.
 */
export class Witness {
  readonly #deps: WitnessDeps;
  readonly #registrations = new Set<WitnessRegistration>();

  constructor(deps: WitnessDeps) {
    this.#deps = deps;
  }

  get count(): number {
    return this.#registrations.size;
  }

  /**
   * Registers a client. What is wrong with the request comes as a notice with `error`, after which `onEnd` is called;
   * it is also called when the registration ends later (the session is gone, or came to this very node).
   */
  register(request: v1.IWitnessRequest, sink: WitnessSink, onEnd: () => void): WitnessRegistration {
    const registration = new WitnessRegistration(this.#deps, request, sink, () => {
      this.#registrations.delete(registration);
      onEnd();
    });
    this.#registrations.add(registration);
    registration.start();
    return registration;
  }
}

/** One client's interest in one session. */
export class WitnessRegistration {
  readonly #deps: WitnessDeps;
  readonly #request: v1.IWitnessRequest;
  readonly #sink: WitnessSink;
  readonly #onEnd: () => void;
  readonly #keepaliveMs: number;
  #watch: Watch | null = null;
  #timer: Timer | null = null;
  #changes: v1.IResourceChange[] = [];
  #move: v1.IMove | null = null;
  #lagging = false;
  #blocked = false;
  #ended = false;
  #error: v1.IErrorDetail | null = null;
  #revision = 0;
  #sentRevision = 0;
  #quietSinceMs = 0;

  constructor(deps: WitnessDeps, request: v1.IWitnessRequest, sink: WitnessSink, onEnd: () => void) {
    this.#deps = deps;
    this.#request = request;
    this.#sink = sink;
    this.#onEnd = onEnd;
    const wanted = request.keepaliveMs || KEEPALIVE_MS_DEFAULT;
    this.#keepaliveMs = Math.min(KEEPALIVE_MS_MAX, Math.max(KEEPALIVE_MS_MIN, wanted));
  }

  /** Called once by the witness. */
  start(): void {
    const refusal = this.#refusal();
    if (refusal !== null) return this.#fail(refusal);
    const { hub } = this.#deps;
    const filter = { node: "", kinds: KINDS, session: this.#request.sessionId ?? 0 };
    this.#send({ registrationId: this.#id() });
    const from = this.#request.resumeRevision ?? 0;
    this.#watch = hub.watch(from, filter, (response) => {
      this.#onWatch(response);
      return true;
    });
    if (this.#ended) return hub.unwatch(this.#watch);
    // Between the client's attach and this moment the session may have moved on already.
    if (from === 0) this.#noteMove("present owner");
    this.#flush();
    this.#beat();
  }

  /** The sink takes more. */
  resume(): void {
    this.#blocked = false;
    this.#flush();
  }

  /** The client has gone. Idempotent. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    if (this.#watch !== null) this.#deps.hub.unwatch(this.#watch);
    this.#onEnd();
  }

  #id(): string {
    const tag = this.#deps.runtime.random.below(2 ** 32).toString(16);
    return `${this.#deps.node}-${this.#request.sessionId ?? 0}-${tag}`;
  }

  #refusal(): v1.IErrorDetail | null {
    const session = this.#deps.state().session(this.#request.sessionId ?? 0);
    if (session === undefined || !sameBytes(session.clientGuid, this.#request.clientGuid))
      return errorDetail(
        ErrorCode.UNKNOWN_SESSION,
        `session ${this.#request.sessionId ?? 0} is not yours or not there`,
      );
    if (session.owner === this.#deps.node) return this.#isOwner();
    return null;
  }

  #isOwner(): v1.IErrorDetail {
    return errorDetail(
      ErrorCode.PRECONDITION_FAILED,
      `${this.#deps.node} owns the session, and could not report its own death`,
      { next: "register with another node" },
    );
  }

  #onWatch(response: v1.IWatchResponse): void {
    if (this.#ended) return;
    this.#revision = Math.max(this.#revision, response.progressRevision ?? 0);
    if (response.resync) this.#wholePicture();
    for (const event of response.events ?? []) this.#onEvent(event);
    this.#flush();
  }

  #onEvent(event: v1.IEvent): void {
    switch (event.kind) {
      case "node-up":
        return this.#change(event.nodeRecord, true, event.text ?? "");
      case "node-down":
      case "node-left":
        return this.#change(event.nodeRecord, false, event.text ?? "");
      case "session-moved":
        if (event.sessionId === this.#request.sessionId) this.#noteMove(event.text ?? "");
        return;
      default:
        if (event.sessionId === this.#request.sessionId)
          this.#error = errorDetail(ErrorCode.UNKNOWN_SESSION, event.text || "the session has ended");
    }
  }

  #change(node: v1.INodeRecord | null | undefined, available: boolean, reason: string): void {
    if (!node || node.foreign || !this.#concerns(node)) return;
    if (this.#changes.length >= CHANGES_QUEUED_MAX) {
      this.#lagging = true;
      this.#changes = [];
    }
    // While lagging nothing is queued: the whole picture follows once there is room.
    if (!this.#lagging) this.#changes.push({ node: addressOf(node), available, reason });
  }

  #concerns(node: v1.INodeRecord): boolean {
    const share = this.#request.share ?? "";
    return share === "" || (node.shares ?? []).includes(share);
  }

  /** The session's present owner is what counts, whatever was to be told before. */
  #noteMove(reason: string): void {
    const state = this.#deps.state();
    const session = state.session(this.#request.sessionId ?? 0);
    if (session === undefined) return;
    const owner = state.node(session.owner ?? "");
    const before = state.node(session.previousOwner ?? "");
    this.#move = {
      sessionId: session.id ?? 0,
      to: owner === undefined ? { node: session.owner ?? "" } : addressOf(owner),
      epoch: session.epoch ?? 0,
      reason,
      planned: before?.status === v1.NodeStatus.NODE_UP,
    };
    if (session.owner === this.#deps.node) this.#error = this.#isOwner();
  }

  #wholePicture(): void {
    const state = this.#deps.state();
    if (state.session(this.#request.sessionId ?? 0) === undefined)
      this.#error = errorDetail(ErrorCode.UNKNOWN_SESSION, "the session has ended");
    this.#lagging = true;
    this.#changes = [];
    this.#noteMove("present owner");
  }

  #picture(): v1.IResourceChange[] {
    const changes: v1.IResourceChange[] = [];
    for (const node of this.#deps.state().nodes())
      if (!node.foreign && this.#concerns(node))
        changes.push({
          node: addressOf(node),
          available: node.status === v1.NodeStatus.NODE_UP,
          reason: node.reason ?? "",
        });
    return changes;
  }

  #flush(): void {
    if (this.#blocked || this.#ended) return;
    if (this.#changes.length > 0 || this.#move !== null || this.#lagging) {
      const notice: v1.IWitnessNotice = { changes: this.#lagging ? this.#picture() : this.#changes };
      if (this.#lagging) notice.lagging = true;
      if (this.#move !== null) notice.move = this.#move;
      this.#changes = [];
      this.#move = null;
      this.#lagging = false;
      this.#send(notice);
    }
    if (this.#error !== null) this.#fail(this.#error);
  }

  #send(notice: v1.IWitnessNotice): void {
    notice.revision = this.#revision;
    this.#sentRevision = this.#revision;
    this.#quietSinceMs = this.#deps.runtime.clock.monotonicMs();
    if (!this.#sink(notice)) this.#blocked = true;
  }

  #fail(error: v1.IErrorDetail): void {
    this.#send({ error });
    this.close();
  }

  /** Silence is for the dead: a progress frame at least every keepalive, with the revision to resume from. */
  #beat(): void {
    if (this.#ended) return;
    this.#timer = this.#deps.runtime.scheduler.after(this.#keepaliveMs / 2, () => {
      const quietMs = this.#deps.runtime.clock.monotonicMs() - this.#quietSinceMs;
      const due = quietMs >= this.#keepaliveMs / 2 || this.#revision > this.#sentRevision;
      if (due && !this.#blocked && !this.#ended) this.#send({ progress: true });
      this.#beat();
    });
  }
}

function addressOf(node: v1.INodeRecord): v1.INodeAddress {
  return {
    node: node.name ?? "",
    grpcAddress: node.grpcAddress ?? "",
    httpAddress: node.httpAddress ?? "",
  };
}
