import { copyOf } from "../wire/copy.js";
import { ErrorCode, errorDetail, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { FileChannel, PeerInfo } from "./api.js";
import { bindChannel, checkTakesSessions, openSession, sessionInfo } from "./calls/attach.js";
import { type Call, cancelParked, type Reply } from "./calls/call.js";
import { dispatch } from "./calls/dispatch.js";
import { type Resumed, resumeSession } from "./calls/resume.js";
import type { NodeCore } from "./core.js";
import { sameBytes } from "../wire/same-bytes.js";
import type { OwnedSession } from "./sessions.js";

/** One client connection. It serves one session; a session has one channel or several, all of them equal. */
export class Channel implements FileChannel {
  private owned: OwnedSession | null = null;
  /** What the log has connected for this channel: said to be away again if the channel ends before it is attached. */
  private taken: { readonly session: OwnedSession; readonly connection: number } | null = null;
  private readonly calls = new Map<number, Call>();
  private closed = false;

  constructor(
    private readonly core: NodeCore,
    /** Unique on this node; sessions name their channel by it. */
    readonly id: number,
    private readonly peer: PeerInfo,
    readonly notify: (response: v1.IFileResponse) => void,
    private readonly onClosed: (channel: Channel) => void,
  ) {}

  get session(): v1.ISessionRecord | null {
    return this.owned?.record ?? null;
  }

  async call(request: v1.IFileRequest): Promise<v1.IFileResponse> {
    const id = request.id ?? 0;
    try {
      const response: v1.IFileResponse = copyOf(await this.run(request, id));
      response.id = id;
      return response;
    } catch (thrown) {
      return { id, error: this.detail(thrown) };
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.onClosed(this);
    if (this.owned === null) this.letGo();
    // With another channel left nothing happens to the session: what ran here ends, and its answers are asked for again there.
    else if (this.owned.channels.delete(this.id))
      this.disconnect(this.owned, this.owned.record.connection ?? 0);
  }

  // The log has it connected, and nobody would ever say otherwise: its handles would hold off others until this node ends.
  private letGo(): void {
    if (this.taken !== null) this.disconnect(this.taken.session, this.taken.connection);
  }

  private disconnect(session: OwnedSession, connection: number): void {
    if (session.channels.size === 0) void this.sayAway(session, connection);
  }

  // Said only once nothing of the session runs here: then its client may go elsewhere. Best effort: a node that dies says
  // nothing either, and the state ends up the same (semantics.md A3).
  private async sayAway(session: OwnedSession, connection: number): Promise<void> {
    await session.running.drained();
    if (session.gone || session.channels.size > 0) return;
    await this.core.options.coordinator.execute({
      disconnectSession: { fence: session.fence(), connection },
    });
  }

  private run(request: v1.IFileRequest, id: number): Promise<Reply> | Reply {
    if (request.ping) return this.ping();
    if (request.attach) return this.attach(request.attach);
    if (request.cancel) return this.cancel(request.cancel);
    const session = this.attached(request);
    if (request.pauseReport) {
      this.core.pauses.reported(session.id, request.pauseReport.gapUs ?? 0);
      return { done: {} };
    }
    if (this.calls.size >= this.core.limits.callsPerChannelMax)
      throw new HoldfastError(
        ErrorCode.OVERLOADED,
        `${this.calls.size} calls of this connection are under way`,
        {
          retryAfterMs: 20,
        },
      );
    return this.runCall(session, request, id);
  }

  // With a session it asks for that one: a client that hears "alive" from a node which has lost it would never look for it,
  // and it would expire in the cluster with everything that its client believes to hold.
  private ping(): Reply {
    if (this.owned === null) checkTakesSessions(this.core);
    else this.core.admit(this.owned);
    return { done: {} };
  }

  private async attach(request: v1.IAttachRequest): Promise<Reply> {
    if (this.owned !== null)
      throw new HoldfastError(
        ErrorCode.INVALID_ARGUMENT,
        "this stream has a session already; open another stream",
      );
    const { session, reconnected } = await this.sessionOf(request);
    this.core.gone.refuseConnection(session.id, session.record.connection ?? 0);
    if (this.closed) {
      this.letGo();
      throw new HoldfastError(ErrorCode.CANCELLED, "the connection is gone");
    }
    if (!request.bind) session.channels.clear();
    this.owned = session;
    session.channels.add(this.id);
    return { session: { ...(await sessionInfo(this.core, session)), reconnected } };
  }

  private async sessionOf(request: v1.IAttachRequest): Promise<Resumed> {
    const { core, peer } = this;
    const none: v1.IFileResponse[] = [];
    const onConnected = (session: OwnedSession): void => {
      this.taken = { session, connection: session.record.connection ?? 0 };
    };
    if (request.open) {
      const session = await openSession(core, peer, request.open);
      onConnected(session);
      return { session, reconnected: none };
    }
    if (request.resume) {
      const { context, silentUs } = request.resume;
      const handles = request.reconnects ?? [];
      return resumeSession(core, peer, {
        context: context ?? {},
        handles,
        silentUs: silentUs ?? 0,
        onConnected,
      });
    }
    if (request.bind)
      return { session: await bindChannel(core, peer, request.bind.context ?? {}), reconnected: none };
    throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, "attach names neither a new session nor an old one");
  }

  // The session must be this stream's and still be served here; a unary call proves that it may use it.
  private attached(request: v1.IFileRequest): OwnedSession {
    const session = this.owned;
    if (session === null)
      throw new HoldfastError(ErrorCode.UNAUTHENTICATED, "no session on this connection yet", {
        next: "send attach first",
      });
    if (session.gone)
      throw new HoldfastError(ErrorCode.NOT_OWNER, `session ${session.id} has left this node`);
    if (!session.channels.has(this.id))
      throw new HoldfastError(
        ErrorCode.CANCELLED,
        `session ${session.id} was taken up on another connection`,
      );
    const token = request.context?.resumeToken;
    if (token && token.length > 0 && !sameBytes(token, session.record.resumeToken))
      throw new HoldfastError(ErrorCode.PERMISSION_DENIED, "the resume token is not this session's");
    return session;
  }

  private async runCall(session: OwnedSession, request: v1.IFileRequest, id: number): Promise<Reply> {
    const call = this.begin(session, request, id);
    try {
      const running = dispatch(this.core, call, request);
      const reply = call.deadlineMs === undefined ? await running : await this.before(call, running);
      // A reconnect is a part of coming back, not what the client came back for.
      if (!request.reconnect) this.core.pauses.answered(session.id);
      return reply;
    } finally {
      if (this.calls.get(id) === call) this.calls.delete(id);
    }
  }

  private begin(session: OwnedSession, request: v1.IFileRequest, id: number): Call {
    const context = request.context;
    const deadline = request.deadlineMs ?? 0;
    const call: Call = {
      session,
      channel: this.id,
      request: context?.request ?? null,
      channelSequence: (context?.channelSequence ?? 0) & 0xffff,
      replay: context?.replay ?? false,
      mayBeOnRecord: context?.replay ?? false,
      deadlineMs: deadline === 0 ? undefined : this.core.options.runtime.clock.monotonicMs() + deadline,
      parkedId: 0,
      wasApart: false,
      cancelled: false,
      counted: [],
    };
    this.calls.set(id, call);
    return call;
  }

  // At the deadline the client gets an answer; what was begun ends by itself and its reply is kept for a repeat.
  private async before(call: Call, running: Promise<Reply>): Promise<Reply> {
    const { clock, scheduler } = this.core.options.runtime;
    let timer: { cancel(): void } | undefined;
    const late = new Promise<null>((resolve) => {
      timer = scheduler.after(Math.max(0, (call.deadlineMs ?? 0) - clock.monotonicMs()), () => resolve(null));
    });
    const first = await Promise.race([running, late]);
    timer?.cancel();
    if (first !== null) return first;
    running.catch(() => {});
    const parked = call.parkedId !== 0;
    call.cancelled = true;
    if (parked) void cancelParked(this.core, call);
    throw new HoldfastError(
      parked || call.request === null ? ErrorCode.DEADLINE_EXCEEDED : ErrorCode.OUTCOME_UNKNOWN,
      "the call's deadline passed before it ended",
      call.request === null
        ? {}
        : { requestId: `${call.session.id}:${call.request.slot ?? 0}:${call.request.sequence ?? 0}` },
    );
  }

  private async cancel(request: v1.ICancelRequest): Promise<Reply> {
    const call = this.calls.get(request.callId ?? 0);
    if (call !== undefined) {
      call.cancelled = true;
      await cancelParked(this.core, call);
    }
    return { done: {} };
  }

  private detail(thrown: unknown): v1.IErrorDetail {
    const error = HoldfastError.from(thrown);
    if (error.code === ErrorCode.INTERNAL)
      this.core.options.runtime.log.error(
        { error: error.stack, cause: String(error.extras.cause) },
        "internal error",
      );
    const detail = errorDetail(error.code, error.message, error.extras);
    detail.node ??= this.core.node;
    return detail;
  }
}
