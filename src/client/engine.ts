import type { Runtime, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import { Backoff } from "./backoff.js";
import { CallBook, type CallBookOwner } from "./call-book.js";
import type { Call, CallSpec } from "./call.js";
import { type ConnectionEvent, type ConnectionState, nextState } from "./connection-table.js";
import { type Attached, Connector, type RoundOutcome } from "./connector.js";
import { Emitter } from "./emitter.js";
import { Endpoints } from "./endpoints.js";
import type { SessionEvents } from "./events.js";
import type { HandleState } from "./handle-state.js";
import { LinkSet } from "./link-set.js";
import { type NoticeOwner, Notices } from "./notices.js";
import type { ClientSettings } from "./options.js";
import { nowhere } from "./race.js";
import { Reclaimer } from "./reclaimer.js";
import { isFatal, reactionTo, refusesOpening, sessionIsGone } from "./retry.js";
import type { ClientNetwork } from "./transport-api.js";

/** What this library speaks; a node that knows less refuses with UNSUPPORTED_VERSION. */
export const PROTOCOL_VERSION = 1;

/** Handles in one session step: what fits into one entry of the log at the node. */
const HANDLES_WITH_ATTACH_MAX = 85;
/** A session that was made for one handle is closed behind it, as far as that is possible at once. */
const DERIVED_CLOSE_MS = 2_000;

const PAUSE_FIRST_MS = 15;
/** Short for as long as a takeover may take, so that the session is back soon after the new owner is ready. */
const PAUSE_MAX_MS = 120;

/** A session that the cluster derived from another one for a handle that moved alone. */
export interface SessionOrigin {
  readonly parent: SessionEngine;
  /** The parent's, but for the session's id and owner. */
  readonly info: v1.ISessionInfo;
  /** Where to look for it first. */
  readonly nodes: readonly string[];
}

/**
 * A session's connection: finds the node that takes it, takes up its handles there, lets calls flow, and does it again
 * when the link is lost. The states and their moves are in `connection-table.ts`; this class does what each state means.
 */
export class SessionEngine implements CallBookOwner, NoticeOwner {
  readonly events = new Emitter<SessionEvents>();
  readonly calls: CallBook;
  readonly handles = new Set<HandleState>();
  readonly clientGuid: Uint8Array;
  readonly endpoints: Endpoints;
  readonly #network: ClientNetwork;
  readonly #runtime: Runtime;
  /** The session that handles of this one left to move alone; null for one that a program opened. */
  readonly #parent: SessionEngine | null;
  readonly #derived = new Map<number, SessionEngine>();
  readonly #settings: ClientSettings;
  readonly #connector: Connector;
  readonly #pauses: Backoff;
  readonly #notices = new Notices(this);
  #state: ConnectionState = "connecting";
  #info: v1.ISessionInfo | null = null;
  readonly #links: LinkSet;
  #reclaimer: Reclaimer | null = null;
  #pause: Timer | null = null;
  #lostAtMs = 0;
  #owner = "";
  #epoch = 0;
  /** The handles of the session step under way, in its order. */
  #asked: HandleState[] = [];
  #begun = false;
  #opened: { resolve(): void; reject(error: HoldfastError): void } | null = null;

  constructor(network: ClientNetwork, runtime: Runtime, settings: ClientSettings, origin?: SessionOrigin) {
    this.#network = network;
    this.#runtime = runtime;
    this.#settings = settings;
    this.#parent = origin?.parent ?? null;
    this.clientGuid = origin?.parent.clientGuid ?? runtime.random.bytes(16);
    this.endpoints = new Endpoints(runtime.random, origin?.nodes ?? settings.nodes);
    this.#info = origin?.info ?? null;
    this.#connector = new Connector(network, runtime, settings, this.endpoints);
    this.#pauses = new Backoff(runtime.random, PAUSE_FIRST_MS, PAUSE_MAX_MS);
    this.calls = new CallBook(runtime, settings, this);
    this.#links = new LinkSet(network, runtime, settings, {
      onMessage: (message) => this.#onMessage(message),
      ping: (link) => this.calls.express({ ping: {} }, ({ error }) => this.#pinged(error), link),
      added: (link) => this.calls.linkAdded(link),
      lostOne: (link) => {
        // What the lost channel still holds is older than everything from now on (semantics.md B4).
        this.#raiseSequence();
        this.calls.linkLost(link);
      },
      lostAll: (link, reason, silent) => {
        if (silent) this.endpoints.avoid(link.address);
        this.#lose(reason, silent);
      },
    });
    if (origin !== undefined) this.calls.channelSequence = (origin.parent.calls.channelSequence + 1) & 0xffff;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** What the latest attach said; null before the first. */
  get info(): v1.ISessionInfo | null {
    return this.#info;
  }

  /** Address of the node that the session is attached to; empty while there is none. */
  get address(): string {
    return this.#links.first?.address ?? "";
  }

  /** Opens the session; rejects when no node took it within the session's default deadline. */
  open(): Promise<void> {
    const opened = new Promise<void>((resolve, reject) => (this.#opened = { resolve, reject }));
    this.#lostAtMs = this.#runtime.clock.monotonicMs();
    this.#connect();
    return opened;
  }

  /** Begins a call. */
  call(spec: CallSpec): Promise<v1.IFileResponse> {
    return this.calls.add(spec);
  }

  /** Closes the session in order; without a connection within `deadlineMs`, it is left to its timeout at the server. */
  async close(deadlineMs: number): Promise<void> {
    if (this.#state === "closed") return;
    await Promise.all([...this.#derived.values()].map((derived) => derived.close(deadlineMs)));
    if (this.state === "ready") this.#move("close");
    if (this.#state !== "lost") {
      const goodbye = this.calls.add({ body: { closeSession: {} }, mutating: true, options: { deadlineMs } });
      // Whatever the answer, this side is done with the session.
      await goodbye.then(
        () => undefined,
        () => undefined,
      );
    }
    this.stop();
  }

  /** Drops everything at once, without a word to the cluster; the session lives on there until its timeout. */
  stop(): void {
    if (this.#state === "closed") return;
    for (const derived of this.#derived.values()) derived.stop();
    if (this.#parent !== null) this.#parent.#derived.delete(this.#info?.sessionId ?? 0);
    this.#move("closed");
    this.#dropLink();
    this.#connector.cancel();
    this.#pause?.cancel();
    this.calls.end(new HoldfastError(ErrorCode.CANCELLED, "the session was closed"));
  }

  // Without a call of its own a client would not notice that its session has left the node, and it would expire. Other
  // refusals pass, or become this one.
  #pinged(error: v1.IErrorDetail | null | undefined): void {
    if (error?.code === ErrorCode.NOT_OWNER) this.relocate(HoldfastError.fromDetail(error), false);
  }

  relocate(error: HoldfastError, avoid: boolean): void {
    const link = this.#links.first;
    if (link === null) return;
    if (avoid) this.endpoints.avoid(link.address);
    this.endpoints.prefer(error.extras.owner?.grpcAddress);
    this.#lose(`${link.address}: ${error.codeName} ${error.message}`);
  }

  reclaim(call: Call, done: (ok: boolean) => void): void {
    const handle = call.spec.handle as HandleState;
    this.calls.express({ reconnect: handle.reconnectBody() }, (response) => {
      if (response.open) handle.reconnected(response.open);
      else if (response.error) {
        const error = HoldfastError.fromDetail(response.error);
        if (error.extras.sessionId !== undefined) this.handleMoved(handle, error);
        else if (reactionTo(error.code) === "settle") this.loseHandle(handle, error);
      }
      done(Boolean(response.open));
    });
  }

  handleMoved(handle: HandleState, error: HoldfastError): void {
    this.follow(handle, error.extras.sessionId ?? 0, error.extras.owner);
  }

  /** The program has closed it. A session that was made for it alone ends with it. */
  handleEnded(handle: HandleState): void {
    this.handles.delete(handle);
    if (this.#parent !== null && this.handles.size === 0) void this.close(DERIVED_CLOSE_MS);
  }

  /**
   * Goes after a handle that was moved alone: it is in a session derived from this one, which this client takes up with
   * the guid and the token that it has. The handle's calls go there with it.
   */
  follow(handle: HandleState, sessionId: number, owner: v1.INodeAddress | undefined): void {
    if (!this.handles.delete(handle)) return;
    const address = owner?.grpcAddress ?? "";
    const known = this.#settings.nodes;
    const nodes = address === "" ? known : [address, ...known.filter((node) => node !== address)];
    const info = { ...this.#info, sessionId, owner: owner ?? null };
    const origin = { parent: this, info, nodes };
    const derived = new SessionEngine(this.#network, this.#runtime, this.#settings, origin);
    derived.endpoints.learn((this.#info?.nodes ?? []).map((node) => node.grpcAddress));
    derived.endpoints.prefer(address);
    this.#derived.set(sessionId, derived);
    handle.engine = derived;
    handle.status = "stale";
    derived.handles.add(handle);
    derived.#resume();
    this.calls.moveAway(handle);
    const path = `${handle.share}:/${handle.path}`;
    this.programEvents.emit("handleMoved", { path, to: owner?.node ?? "", session: sessionId });
  }

  #resume(): void {
    this.#lostAtMs = this.#runtime.clock.monotonicMs();
    this.#connect();
  }

  /** What concerns handles is told where the program listens: at the session that it opened. */
  get programEvents(): Emitter<SessionEvents> {
    return this.#parent === null ? this.events : this.#parent.programEvents;
  }

  /** All handles of the client, in whichever session. */
  allHandles(): HandleState[] {
    return this.#parent === null ? this.#handlesBelow() : this.#parent.allHandles();
  }

  #handlesBelow(): HandleState[] {
    return [...this.handles, ...[...this.#derived.values()].flatMap((derived) => derived.#handlesBelow())];
  }

  /** Somebody who should know says that the session belongs elsewhere now. */
  moveTo(address: string | null | undefined): void {
    if (!address || address === this.address) return;
    this.endpoints.prefer(address);
    if (this.#links.size > 0) this.#lose(`the session moves to ${address}`);
    else if (this.#state === "waiting") this.#again();
    else this.#connector.suggest(address);
  }

  /** It will belong there soon: a stream is kept ready. */
  prepare(address: string): void {
    this.#connector.prepare(address);
  }

  /** The node that it is attached to is left as soon as its stream ends, and then tried last. */
  nodeStops(): void {
    if (this.address) this.endpoints.avoid(this.address);
  }

  /** A node became reachable or not, as a witness saw it. */
  nodeChanged(node: v1.INodeAddress, available: boolean, reason: string): void {
    this.events.emit("nodeChange", { node: node.node ?? "", available, reason });
    if (available) this.endpoints.learn([node.grpcAddress]);
    else if (node.grpcAddress) this.nodeIsDown(node.grpcAddress);
  }

  /** The node is known to be dead before its silence told. */
  nodeIsDown(address: string): void {
    this.endpoints.avoid(address);
    if (this.address === address) this.#lose(`${address} was reported down`, true);
  }

  #move(event: ConnectionEvent): void {
    const from = this.#state;
    this.#state = nextState(from, event);
    this.events.emit("state", { from, to: this.#state });
  }

  #connect(): void {
    const done = (outcome: RoundOutcome) => this.#roundDone(outcome);
    if (this.#info === null) {
      this.#connector.open(
        {
          clientGuid: this.clientGuid,
          clientName: this.#settings.clientName,
          timeoutMs: this.#settings.sessionTimeoutMs,
          protocolVersion: PROTOCOL_VERSION,
        },
        done,
      );
    } else {
      const context = this.#resumeContext(this.#info);
      this.#connector.resume(
        { context, reconnects: this.#takeAlong(), silentUs: () => this.#silentUs() },
        done,
      );
    }
  }

  /** How long calls have waited without any answer; zero when none waits. */
  #silentUs(): number {
    const sinceMs = this.calls.waitingSinceMs();
    return sinceMs === null ? 0 : Math.round((this.#runtime.clock.monotonicMs() - sinceMs) * 1_000);
  }

  #resumeContext(info: v1.ISessionInfo): v1.ICallContext {
    return {
      sessionId: info.sessionId ?? 0,
      clientGuid: this.clientGuid,
      resumeToken: info.resumeToken ?? new Uint8Array(0),
      protocolVersion: PROTOCOL_VERSION,
      channelSequence: this.calls.channelSequence,
      redirect: true,
    };
  }

  /** The handles that go with the session step, so that they cost no round of their own; what is left follows one by one. */
  #takeAlong(): v1.IReconnectRequest[] {
    this.#asked = [...this.handles]
      .filter((handle) => handle.outlivesConnection)
      .slice(0, HANDLES_WITH_ATTACH_MAX);
    const written = this.calls.writtenHandles();
    return this.#asked.map((handle) => ({ ...handle.reconnectBody(), writing: written.has(handle) }));
  }

  #roundDone(outcome: RoundOutcome): void {
    if (outcome.attached !== null) return this.#attached(outcome.attached);
    const errors = [...outcome.errors.values()];
    const gone = errors.find((error) => sessionIsGone(error.code));
    if (this.#info !== null && gone !== undefined) return this.#sessionGone(gone);
    const fatal = errors.find((error) => isFatal(error.code));
    if (fatal !== undefined && this.#info !== null) return this.#sessionGone(fatal);
    const waitedMs = this.#runtime.clock.monotonicMs() - this.#lostAtMs;
    const refused = errors.find((error) => refusesOpening(error.code));
    if (this.#opened !== null && (refused !== undefined || waitedMs >= this.#settings.deadlineMs)) {
      const opened = this.#opened;
      this.#opened = null;
      this.stop();
      return opened.reject(refused ?? nowhere(outcome.errors));
    }
    this.#move("round-failed");
    const adviceMs = Math.max(0, ...errors.map((error) => error.extras.retryAfterMs ?? 0));
    const pauseMs = Math.max(adviceMs, this.#pauses.next());
    this.#pause = this.#runtime.scheduler.after(pauseMs, () => this.#again());
  }

  #again(): void {
    this.#pause?.cancel();
    this.#move("pause-over");
    this.#connect();
  }

  #attached({ link, info }: Attached): void {
    const first = !this.#begun;
    this.#begun = true;
    this.#pauses.reset();
    this.#info = { ...info, resumeToken: info.resumeToken?.length ? info.resumeToken : this.#token() };
    this.endpoints.learn((info.nodes ?? []).map((node) => node.grpcAddress));
    this.endpoints.settled(link.address);
    if (first) this.calls.begin(info.sessionId ?? 0, info.slots || 1);
    this.#notices.attached();
    const alive = this.#links.begin(link);
    this.calls.linkUp(link);
    this.#move("attached");
    if (!alive) return this.#lose(`${link.address} closed the stream`);
    this.#reclaimHandles(first, info.reconnected ?? []);
  }

  #token(): Uint8Array {
    return this.#info?.resumeToken ?? new Uint8Array(0);
  }

  #reclaimHandles(first: boolean, answers: readonly v1.IFileResponse[]): void {
    for (const handle of this.handles) {
      if (handle.outlivesConnection) handle.status = "stale";
      else if (!first)
        this.loseHandle(
          handle,
          new HoldfastError(ErrorCode.FILE_CLOSED, "a plain handle ends with its connection"),
        );
    }
    const stale = [...this.handles].filter((handle) => handle.status === "stale");
    const answered = new Map(
      answers
        .map((answer, i) => [this.#asked[i], answer] as const)
        .filter(([handle]) => handle !== undefined),
    );
    this.#asked = [];
    this.#reclaimer = new Reclaimer(this.#runtime, stale, answered, {
      send: (body, answered) => this.calls.express(body, answered),
      lost: (handle, error) => this.loseHandle(handle, error),
      moved: (handle, error) => this.handleMoved(handle, error),
      relocate: (error) => this.relocate(error, false),
      done: () => this.#ready(first),
    });
    this.#reclaimer.run();
  }

  #ready(first: boolean): void {
    this.#reclaimer = null;
    this.#move("reclaimed");
    const owner = this.#info?.owner?.node ?? "";
    const before = this.#owner;
    this.#owner = owner;
    const epoch = this.#info?.epoch ?? 0;
    if (epoch !== this.#epoch && !first) this.calls.reportPauseSince(this.calls.waitingSinceMs());
    this.#epoch = epoch;
    this.calls.flow();
    this.#links.widen(() => this.#resumeContext(this.#info ?? {}));
    if (first) {
      this.#opened?.resolve();
      this.#opened = null;
      return;
    }
    const pauseMs = this.#runtime.clock.monotonicMs() - this.#lostAtMs;
    this.#runtime.meter.observe("client_pause_ms", pauseMs);
    this.events.emit("reconnected", { node: owner, epoch, pauseMs });
    if (owner !== before) this.events.emit("moved", { from: before, to: owner, epoch });
  }

  #onMessage(message: v1.IFileResponse): void {
    if (message.id) this.calls.onAnswer(message);
    else if (message.notice) this.#notices.receive(message.notice);
  }

  loseHandle(handle: HandleState, error: HoldfastError): void {
    this.handles.delete(handle);
    handle.status = "lost";
    handle.lostBecause = `${error.codeName} ${error.message}`;
    if (handle.closing) return;
    this.programEvents.emit("handleLost", {
      path: `${handle.share}:/${handle.path}`,
      reason: error.message,
      error,
    });
  }

  #lose(reason: string, silent = false): void {
    const node = this.#owner;
    this.#dropLink(silent);
    // A link that is lost while handles are being taken up belongs to the same pause.
    if (this.#state !== "reclaiming") this.#lostAtMs = this.#runtime.clock.monotonicMs();
    // Whatever the old channels still hold is older than everything from now on (semantics.md B4).
    this.#raiseSequence();
    this.#move("link-lost");
    this.events.emit("disconnected", { node, reason });
    if (this.#state === "connecting") this.#connect();
  }

  #dropLink(silent = false): void {
    this.#reclaimer?.stop();
    this.#reclaimer = null;
    this.#links.close(silent);
    this.calls.linkDown();
  }

  #raiseSequence(): void {
    this.calls.channelSequence = (this.calls.channelSequence + 1) & 0xffff;
  }

  #sessionGone(error: HoldfastError): void {
    this.#move("session-gone");
    const gone = new HoldfastError(error.code, `the session is gone: ${error.message}`, {
      ...error.extras,
      next: "connect again; handles and locks of the old session are released",
    });
    for (const handle of [...this.handles]) this.loseHandle(handle, gone);
    this.calls.end(gone);
    if (this.#parent !== null) this.#parent.#derived.delete(this.#info?.sessionId ?? 0);
    this.events.emit("lost", { error: gone });
  }
}
