import type { Runtime, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import type { FileChannel, FileNode, PeerInfo } from "./api.js";
import { checkVersion } from "./calls/attach.js";
import { sameBytes } from "../wire/same-bytes.js";

/** A session of thin clients: no stream keeps it connected, its calls do. */
interface ThinSession {
  readonly channel: FileChannel;
  readonly idleMs: number;
  timer: Timer;
  running: number;
}

/**
 * Single calls of thin clients, each of which proves anew whose it is. The session counts as connected until none came
 * for its timeout; a session that is on a stream here is used through that stream's channel.
 */
export class UnaryCalls {
  private readonly thin = new Map<number, ThinSession>();
  private nextId = 0;

  constructor(
    private readonly node: FileNode,
    private readonly runtime: Runtime,
  ) {}

  /** Opens a session; throws HoldfastError. */
  async openSession(peer: PeerInfo, request: v1.IOpenSessionRequest): Promise<v1.ISessionInfo> {
    return this.attach(peer, { open: request });
  }

  /** Takes a session up at this node. */
  async resumeSession(peer: PeerInfo, context: v1.ICallContext): Promise<v1.ISessionInfo> {
    return this.attach(peer, { resume: { context } });
  }

  /** Runs one call in the session that its context names; throws HoldfastError. */
  async call(
    peer: PeerInfo,
    context: v1.ICallContext,
    request: v1.IFileRequest,
    onStarted: (cancel: () => void) => void = () => {},
  ): Promise<v1.IFileResponse> {
    checkContext(context);
    // Beyond what streams count to: the call may share a channel with one.
    const id = UNARY_IDS + ++this.nextId;
    for (let tries = 1; ; tries++) {
      const channel = await this.channel(peer, context);
      onStarted(() => void channel.call({ id: 0, cancel: { callId: id } }));
      const thin = this.thin.get(context.sessionId ?? 0);
      if (thin?.channel === channel) thin.running += 1;
      const response = await channel.call({ ...request, id, context });
      if (thin?.channel === channel) this.ended(context.sessionId ?? 0, thin);
      if (!response.error) return { ...response, id: request.id ?? 0 };
      // The session was taken up elsewhere since its last call here; this call asks for it back.
      if (response.error.code === ErrorCode.NOT_OWNER && thin !== undefined && tries === 1) {
        this.drop(context.sessionId ?? 0, thin);
        continue;
      }
      throw HoldfastError.fromDetail(response.error);
    }
  }

  /** Lets go of all thin sessions, as if their clients had gone. */
  close(): void {
    for (const [id, thin] of [...this.thin]) this.drop(id, thin);
  }

  private async channel(peer: PeerInfo, context: v1.ICallContext): Promise<FileChannel> {
    const present = this.node.channelOfSession(context.sessionId ?? 0);
    if (present !== undefined) {
      checkOwner(present, peer, context);
      return present;
    }
    await this.attach(peer, { resume: { context } });
    const taken = this.node.channelOfSession(context.sessionId ?? 0);
    if (taken === undefined)
      throw new HoldfastError(
        ErrorCode.NOT_READY,
        `session ${context.sessionId} is being taken up elsewhere`,
      );
    return taken;
  }

  private async attach(peer: PeerInfo, request: v1.IAttachRequest): Promise<v1.ISessionInfo> {
    const channel = this.node.connect(peer, () => {});
    const response = await channel.call({ id: 0, attach: request });
    const info = response.session;
    if (response.error || !info) {
      channel.close();
      throw HoldfastError.fromDetail(response.error ?? { code: ErrorCode.INTERNAL, message: "no answer" });
    }
    const id = info.sessionId ?? 0;
    const before = this.thin.get(id);
    if (before !== undefined) this.drop(id, before);
    const idleMs = info.timeoutMs || limits.sessionTimeoutMsDefault;
    const thin: ThinSession = { channel, idleMs, timer: NEVER, running: 0 };
    this.thin.set(id, thin);
    this.arm(id, thin);
    return info;
  }

  private ended(id: number, thin: ThinSession): void {
    thin.running -= 1;
    if (this.thin.get(id) === thin) this.arm(id, thin);
  }

  private arm(id: number, thin: ThinSession): void {
    thin.timer.cancel();
    thin.timer = this.runtime.scheduler.after(thin.idleMs, () => {
      if (thin.running === 0) this.drop(id, thin);
    });
  }

  private drop(id: number, thin: ThinSession): void {
    thin.timer.cancel();
    if (this.thin.get(id) === thin) this.thin.delete(id);
    thin.channel.close();
  }
}

const UNARY_IDS = 2 ** 48;
const NEVER: Timer = { cancel: () => {} };

function checkContext(context: v1.ICallContext): void {
  checkVersion(context.protocolVersion);
  if (!context.sessionId)
    throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, "the call's context names no session", {
      next: "open a session first and put its id and resume token into the context",
    });
  if (context.resumeToken?.length !== limits.guidBytes)
    throw new HoldfastError(ErrorCode.UNAUTHENTICATED, "the call's context has no resume token of 16 bytes");
}

function checkOwner(channel: FileChannel, peer: PeerInfo, context: v1.ICallContext): void {
  const session = channel.session;
  const mine =
    session !== null &&
    session.principal === peer.principal &&
    sameBytes(session.resumeToken, context.resumeToken) &&
    sameBytes(session.clientGuid, context.clientGuid);
  if (!mine)
    throw new HoldfastError(
      ErrorCode.PERMISSION_DENIED,
      `session ${context.sessionId} is not this caller's: client guid, resume token or principal differ`,
    );
}
