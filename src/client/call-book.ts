import type { Runtime } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { Call, type CallSpec } from "./call.js";
import { handleGone, outcomeOf, refusal, retryAfter } from "./call-results.js";
import { Deadlines } from "./deadlines.js";
import { type Answered, ExpressFrames } from "./express-frames.js";
import { Lanes } from "./lanes.js";
import type { HandleState } from "./handle-state.js";
import type { FileLink } from "./link.js";
import { OnWire } from "./on-wire.js";
import { Outcomes, unknownOutcome } from "./outcomes.js";
import type { ClientSettings } from "./options.js";
import { Pauses } from "./pauses.js";
import { leavesOpen, nodeIsUnwell, reactionTo } from "./retry.js";
import { SlotTable } from "./slots.js";

/** What the book of calls asks of the session around it. */
export interface CallBookOwner {
  /** This node is the wrong one, or unwell: leave the link and find another. */
  relocate(error: HoldfastError, avoid: boolean): void;
  /** Takes the call's handle up again on the present link; tells whether that worked. */
  reclaim(call: Call, done: (ok: boolean) => void): void;
  /** A handle was moved alone, as the error says: it has to be followed. */
  handleMoved(handle: HandleState, error: HoldfastError): void;
}

/** Payload bytes on the wire at once; the next call waits: bounds memory, and no ping queues behind data. */
const BYTES_IN_FLIGHT_MAX = 8 * 1024 * 1024;
/** How long a node may answer "not now" to everything before another one is looked for. */
const UNWELL_LIMIT_MS = 500;
/** So often one call has its handle taken up again: each time may meet an attach that its client had given up. */
const RECLAIMS_MAX = 8;
/** How long a cancelled call may take to say whether the cancel was in time. */
const CANCEL_GRACE_MS = 500;
/** Ids below are the handshake's. */
const FIRST_CALL_ID = 16;

/**
 * All calls of a session: queued, on the wire, pausing before a repeat, or followed up after their caller left. It
 * knows nothing of how links come and go; it is told.
 */
export class CallBook {
  readonly #runtime: Runtime;
  readonly #settings: ClientSettings;
  readonly #owner: CallBookOwner;
  readonly #lanes = new Lanes();
  readonly #wire = new OnWire();
  readonly #express = new ExpressFrames();
  readonly #deadlines: Deadlines;
  readonly outcomes: Outcomes;
  #slots = new SlotTable(0);
  /** Unanswered calls of lost links, to be sent again in their order before anything else. */
  #replays: Call[] = [];
  readonly #pauses: Pauses;
  readonly #awaitingReclaim = new Set<Call>();
  #flowing = false;
  #nextId = FIRST_CALL_ID;
  #unwellSinceMs: number | null = null;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  #pausedSinceMs: number | null = null;
  /** Set once the session is over: what every later call gets. */
  #over: HoldfastError | null = null;
  sessionId = 0;
  channelSequence = 0;

  constructor(runtime: Runtime, settings: ClientSettings, owner: CallBookOwner) {
    this.#runtime = runtime;
    this.#settings = settings;
    this.#owner = owner;
    this.#pauses = new Pauses(runtime, (call) => this.#requeue(call));
    this.outcomes = new Outcomes(runtime);
    this.#deadlines = new Deadlines(runtime, (call) =>
      this.#giveUp(call, new HoldfastError(ErrorCode.DEADLINE_EXCEEDED, "the deadline passed")),
    );
  }

  /** The session was granted with this many slots. */
  begin(sessionId: number, slots: number): void {
    this.sessionId = sessionId;
    this.#slots = new SlotTable(slots);
  }

  /** Handles on which a write waits for an answer or for its turn: it goes out as soon as the handle is back. */
  writtenHandles(): Set<HandleState> {
    const written = new Set<HandleState>();
    for (const call of this.#deadlines.all())
      if (call.spec.body.write && call.spec.handle !== undefined) written.add(call.spec.handle);
    return written;
  }

  /** Calls that wait for an answer or for their turn. */
  get openCount(): number {
    return this.#deadlines.size;
  }

  /** Begins a call, which its caller may have begun before; the promise settles with its response or a HoldfastError. */
  add(spec: CallSpec, mayHaveHappened = false, begunAtMs?: number): Promise<v1.IFileResponse> {
    if (this.#over !== null) return Promise.reject(this.#over);
    const lost = spec.handle?.status === "lost" || spec.handle?.status === "closed";
    if (lost) return Promise.reject(handleGone(spec.handle));
    const deadlineMs = spec.options?.deadlineMs ?? this.#settings.deadlineMs;
    const nowMs = this.#runtime.clock.monotonicMs();
    const call = new Call(this.#nextId++, spec, nowMs + deadlineMs, begunAtMs ?? nowMs);
    call.uncertain = mayHaveHappened;
    // It comes from the session that its handle has left: the first answer here ends the pause that the move was.
    if (begunAtMs !== undefined && this.#answeredAtMs < begunAtMs) this.#pausedSinceMs ??= begunAtMs;
    const signal = spec.options?.signal;
    if (signal !== undefined) this.#heedSignal(call, signal);
    if (call.stage === "settled") return call.promise;
    this.#deadlines.add(call);
    this.#lanes.add(call);
    this.#pump();
    return call.promise;
  }

  /** A link is attached: only express frames may pass until `flow`. */
  linkUp(link: FileLink): void {
    this.#wire.begin(link);
    this.#unwellSinceMs = null;
  }

  /** A further channel. */
  linkAdded(link: FileLink): void {
    this.#wire.add(link);
    this.#pump();
  }

  /** One channel of several is gone: what was unanswered there is sent again on the others. */
  linkLost(link: FileLink): void {
    const wasFirst = this.#wire.first === link;
    this.#express.linkLost(link);
    for (const call of this.#wire.drop(link)) this.#unanswered(call);
    if (wasFirst) this.#reclaimsAgain();
    this.#dropCancels();
    if (this.#flowing) this.#resend();
  }

  /** Handles are back: first what was unanswered, in its order, then the rest. */
  flow(): void {
    this.#flowing = true;
    // What its former node put off may be welcome here at once.
    for (const call of this.#pauses.all()) {
      if (call.lastError?.code === ErrorCode.FILE_NOT_AVAILABLE) continue;
      this.#pauses.end(call);
      call.stage = "queued";
      if (call.spec.mutating && call.slot === null) this.#lanes.add(call);
      else this.#replays.push(call);
    }
    this.#resend();
  }

  #resend(): void {
    const replays = this.#replays.sort((a, b) => a.id - b.id);
    this.#replays = [];
    for (const call of replays) if (call.stage === "queued") this.#send(call);
    this.#pump();
  }

  /** All links are gone, and with them every answer that had not come. */
  linkDown(): void {
    this.#flowing = false;
    this.#express.clear();
    for (const call of this.#wire.dropAll()) this.#unanswered(call);
    this.#reclaimsAgain();
    this.#dropCancels();
  }

  #unanswered(call: Call): void {
    call.stage = "queued";
    call.uncertain = true;
    this.#replays.push(call);
  }

  #reclaimsAgain(): void {
    for (const call of this.#awaitingReclaim) {
      call.stage = "queued";
      this.#replays.push(call);
    }
    this.#awaitingReclaim.clear();
  }

  // A cancel that was under way died with its link; so did what it was to cancel.
  #dropCancels(): void {
    for (const call of this.#replays) if (call.cancelling !== null) this.#abandon(call, call.cancelling);
  }

  /** Sends a frame of the library's own at once; `answered` is forgotten when the link dies. */
  express(body: v1.IFileRequest, answered: Answered, link = this.#wire.first): void {
    if (link === undefined) return;
    const id = this.#nextId++;
    this.#express.expect(id, link, answered);
    link.send({ ...body, id, context: { channelSequence: this.channelSequence } });
  }

  /** An answer arrived on the present link. */
  onAnswer(response: v1.IFileResponse): void {
    const id = response.id as number;
    if (this.#express.take(id, response)) return;
    const call = this.#wire.find(id);
    if (call === undefined) return;
    this.#wire.takeOff(call);
    if (response.resolve) this.#resolved(call, response.resolve);
    else if (response.error) this.#refused(call, HoldfastError.fromDetail(response.error));
    else this.#succeed(call, response);
    this.#pump();
  }

  /** The session is over: nothing will be answered any more. Mutating calls that were sent stay unknown. */
  end(error: HoldfastError): void {
    this.#over = error;
    this.linkDown();
    for (const call of this.#deadlines.all()) {
      if (call.abandoned || (call.changesSomething && call.uncertain))
        this.#settle(call, unknownOutcome(this.#requestId(call), error.message));
      else this.#settle(call, error);
    }
    this.outcomes.abandon();
  }

  /**
   * A handle goes on in another session. What was not sent goes there at once; what is on the wire is answered here first,
   * and what may have happened is asked for here before it is done there: at once, where it only waited to be repeated.
   */
  moveAway(handle: HandleState): void {
    const away = this.#deadlines.all().filter((call) => call.spec.handle === handle && !call.abandoned);
    for (const call of away)
      if (call.stage !== "sent" && !this.#hasToAsk(call)) this.#transplant(call);
      else if (this.#pauses.end(call)) this.#requeue(call);
  }

  #isElsewhere(call: Call): boolean {
    const handle = call.spec.handle;
    return handle !== undefined && handle.engine.calls !== this && !call.abandoned;
  }

  // It may have happened in this session, under an id that only this session knows.
  #hasToAsk(call: Call): boolean {
    return call.slot !== null && (call.uncertain || call.repeated);
  }

  #transplant(call: Call): void {
    const { spec } = call;
    const deadlineMs = call.deadlineAtMs - this.#runtime.clock.monotonicMs();
    // What had an id was asked for.
    const uncertain = call.uncertain && call.slot === null;
    this.#forget(call);
    const there = (spec.handle as HandleState).engine.calls;
    there
      .add({ ...spec, options: { ...spec.options, deadlineMs } }, uncertain, call.begunAtMs)
      .then(call.resolve, call.reject);
  }

  #pump(): void {
    if (!this.#flowing) return;
    this.#lanes.drain((call) => {
      const full =
        this.#wire.size >= this.#settings.callsInFlightMax || this.#wire.bytes >= BYTES_IN_FLIGHT_MAX;
      if (full) return false;
      if (call.spec.mutating && call.slot === null) {
        call.slot = this.#slots.acquire(call.spec.blocking === true);
        if (call.slot === null) return false;
      }
      this.#send(call);
      return true;
    });
  }

  #send(call: Call): void {
    const { body, handle } = call.spec;
    if (handle?.status === "lost" && !call.uncertain) return this.#settle(call, handleGone(handle));
    const elsewhere = this.#isElsewhere(call);
    if (elsewhere && !this.#hasToAsk(call)) return this.#transplant(call);
    const asks = call.abandoned || elsewhere;
    const request = call.slot === null ? null : { slot: call.slot.index, sequence: call.slot.sequence };
    const context: v1.ICallContext = { channelSequence: this.channelSequence };
    if (request !== null && !asks) context.request = request;
    if (call.uncertain || call.repeated) context.replay = true;
    const left = call.deadlineAtMs - this.#runtime.clock.monotonicMs();
    const frame = asks
      ? { id: call.id, context, resolve: { request } }
      : {
          ...body,
          id: call.id,
          context,
          deadlineMs: Number.isFinite(left) ? Math.max(1, Math.ceil(left)) : 0,
        };
    call.stage = "sent";
    call.sends += 1;
    this.#wire.put(call).send(frame);
  }

  #succeed(call: Call, response: v1.IFileResponse): void {
    this.#unwellSinceMs = null;
    this.#answeredAtMs = this.#runtime.clock.monotonicMs();
    if (this.#pausedSinceMs !== null) this.#reportPause(this.#answeredAtMs - this.#pausedSinceMs);
    call.slot?.confirm();
    this.#settle(call, response);
  }

  /** Since when a call waits without any answer having come; null when none waits. Waiting for a lock is no pause. */
  waitingSinceMs(): number | null {
    const oldest = this.#deadlines.oldest((call) => call.spec.blocking !== true && !call.abandoned);
    return oldest === undefined ? null : Math.max(oldest.begunAtMs, this.#answeredAtMs);
  }

  /** The session has a new owner: tells it after its first answer how long that took, for the record of the failover. */
  reportPauseSince(sinceMs: number | null): void {
    this.#pausedSinceMs = sinceMs;
  }

  #reportPause(tookMs: number): void {
    this.#pausedSinceMs = null;
    this.express({ pauseReport: { gapUs: Math.max(1, Math.round(tookMs * 1_000)) } }, () => {});
  }

  /** The follow-up of a call was answered whose caller has left, or whose handle is in another session. */
  #resolved(call: Call, reply: v1.IResolveReply): void {
    if (reply.underWay) return this.#pauses.begin(call, 0);
    if (!reply.known) return this.#isElsewhere(call) ? this.#transplant(call) : this.#settle(call, null);
    if (reply.response?.error) return this.#settle(call, HoldfastError.fromDetail(reply.response.error));
    call.slot?.confirm();
    this.#settle(call, reply.response ?? {});
  }

  #refused(call: Call, error: HoldfastError): void {
    call.lastError = error;
    const handle = call.spec.handle;
    const asked = this.#isElsewhere(call);
    if (error.extras.sessionId !== undefined && handle !== undefined && handle.engine.calls === this)
      this.#owner.handleMoved(handle, error);
    if (error.code === ErrorCode.CANCELLED && (call.cancelling !== null || call.abandoned))
      return this.#settle(call, call.cancelling ?? error);
    // The node stopped waiting for a write that it had begun.
    if (error.code === ErrorCode.DEADLINE_EXCEEDED && call.spec.repeatable)
      return this.#settle(call, unknownOutcome("", error.message));
    const reaction = reactionTo(error.code);
    if (leavesOpen(error.code) && error.extras.sessionId === undefined) call.uncertain = true;
    // Not done here, and it cannot be any more; or the question what became of it has to be asked again.
    if (this.#isElsewhere(call) && reaction !== "settle" && call.cancelling === null)
      return asked ? this.#pauses.begin(call, 0) : this.#requeue(call);
    // Sent again under the same id it may meet what it did itself: a name that is gone, or there already.
    if (reaction === "again" || reaction === "elsewhere") call.repeated = true;
    switch (reaction) {
      case "again":
        return this.#unwell(error)
          ? this.#elsewhere(call, error, true)
          : this.#pauses.begin(call, retryAfter(error));
      case "again-new":
        if (call.spec.options?.waitForAvailable === false || call.cancelling !== null || call.abandoned)
          return this.#settle(call, error);
        return this.#pauseForNewId(call, error);
      case "elsewhere":
        return this.#elsewhere(call, error, error.code === ErrorCode.STOPPING);
      case "reclaim":
        return this.#reclaim(call, error);
      case "sequence":
        return call.slot?.fallBack() ? this.#send(call) : this.#settle(call, error);
      case "settle":
        return this.#mismatched(call, error) ? this.#send(call) : this.#settle(call, error);
    }
  }

  /** The number was used up by a call that was thought not to have happened: a fresh call takes the next one. */
  #mismatched(call: Call, error: HoldfastError): boolean {
    if (error.code !== ErrorCode.REQUEST_MISMATCH || call.slot === null || call.uncertain) return false;
    if (call.abandoned || ++call.mismatches > 3) return false;
    call.slot.confirm();
    call.slot.advance();
    return true;
  }

  #unwell(error: HoldfastError): boolean {
    if (!nodeIsUnwell(error.code)) return false;
    const nowMs = this.#runtime.clock.monotonicMs();
    this.#unwellSinceMs ??= nowMs;
    return nowMs - this.#unwellSinceMs >= UNWELL_LIMIT_MS;
  }

  #elsewhere(call: Call, error: HoldfastError, avoid: boolean): void {
    call.stage = "queued";
    this.#replays.push(call);
    this.#owner.relocate(error, avoid);
  }

  #reclaim(call: Call, error: HoldfastError): void {
    const handle = call.spec.handle;
    // A handle that could not be taken up any more, and a close of it that may have been carried out: it was.
    const closedAlready = Boolean(call.spec.body.close) && call.uncertain && handle?.status !== "open";
    if (closedAlready) return this.#settle(call, { id: call.id, close: {} });
    if (handle?.status !== "open" || ++call.reclaims > RECLAIMS_MAX || call.abandoned)
      return this.#settle(call, error);
    call.stage = "pausing";
    this.#awaitingReclaim.add(call);
    this.#owner.reclaim(call, (ok) => {
      if (!this.#awaitingReclaim.delete(call) || call.stage !== "pausing") return;
      if (this.#isElsewhere(call)) return this.#requeue(call);
      // Refused for the moment only, the handle is asked for again once the call is refused again.
      if (!ok && handle.status === "open") return this.#pauses.begin(call, retryAfter(error));
      if (!ok) return this.#settle(call, error);
      // The refusal may be stored under the present id, and the repeat would get it again. But what may have happened
      // under an id is asked for under that id and no other.
      if (!call.uncertain) this.#dropId(call);
      this.#requeue(call);
    });
  }

  /**
   * The refusal may be stored under the present id, so the next try needs another one. A call that may have happened under
   * its id keeps it; only a create is told apart by its guid as well.
   */
  #pauseForNewId(call: Call, error: HoldfastError): void {
    if (!call.uncertain || call.spec.body.open) this.#dropId(call);
    this.#pauses.begin(call, retryAfter(error));
  }

  #dropId(call: Call): void {
    if (call.slot === null) return;
    this.#slots.release(call.slot, call.spec.blocking === true);
    call.slot = null;
    call.repeated = false;
  }

  #requeue(call: Call): void {
    call.stage = "queued";
    if (call.spec.mutating && call.slot === null) this.#lanes.add(call);
    else if (this.#flowing) return this.#send(call);
    else this.#replays.push(call);
    this.#pump();
  }

  #heedSignal(call: Call, signal: AbortSignal): void {
    const onAbort = () =>
      this.#giveUp(call, new HoldfastError(ErrorCode.CANCELLED, "the caller cancelled it"));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    const forget = () => signal.removeEventListener("abort", onAbort);
    call.promise.then(forget, forget);
  }

  /** The caller's patience is over. What was not sent, or refused for certain, has not happened; the rest is unknown. */
  #giveUp(call: Call, why: HoldfastError): void {
    if (call.stage === "settled" || call.abandoned) return;
    const mayHaveHappened = call.changesSomething && (call.stage === "sent" || call.uncertain);
    if (!mayHaveHappened) return this.#settle(call, refusal(call, why));
    if (call.stage === "sent" && call.cancelling === null) {
      call.cancelling = why;
      const request = call.slot === null ? null : { slot: call.slot.index, sequence: call.slot.sequence };
      this.express({ cancel: { callId: call.id, request } }, () => {});
      if (call.spec.blocking) {
        this.#runtime.scheduler.after(CANCEL_GRACE_MS, () => this.#abandon(call, why));
        return;
      }
    }
    this.#abandon(call, why);
  }

  /** Tells the caller that the outcome is unknown, and follows it up if the call has an id to ask with. */
  #abandon(call: Call, why: HoldfastError): void {
    if (call.stage === "settled" || call.abandoned) return;
    call.cancelling = null;
    if (call.slot === null) return this.#settle(call, unknownOutcome("", why.message));
    call.abandoned = true;
    const requestId = this.#requestId(call);
    this.outcomes.expect(requestId);
    call.reject(unknownOutcome(requestId, why.message));
  }

  /** `result`: a response, an error, or null for an abandoned call that has not happened. */
  #settle(call: Call, result: v1.IFileResponse | HoldfastError | null): void {
    if (call.stage === "settled") return;
    const requestId = this.#requestId(call);
    this.#forget(call);
    if (call.abandoned) this.outcomes.settle(requestId, outcomeOf(result));
    else if (result instanceof HoldfastError) call.reject(result);
    else call.resolve(result ?? {});
  }

  #forget(call: Call): void {
    call.stage = "settled";
    this.#deadlines.remove(call);
    this.#wire.takeOff(call);
    this.#pauses.end(call);
    this.#awaitingReclaim.delete(call);
    if (call.slot !== null) this.#slots.release(call.slot, call.spec.blocking === true);
    call.slot = null;
  }

  #requestId(call: Call): string {
    return call.slot === null ? "" : `${this.sessionId}-${call.slot.index}-${call.slot.sequence}`;
  }
}
