import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import type { PeerInfo } from "../api.js";
import type { NodeCore } from "../core.js";
import { sameBytes } from "../../wire/same-bytes.js";
import { OwnedSession } from "../sessions.js";

/** The version of files.proto that this node speaks. */
export const PROTOCOL_VERSION = 1;

/** Throws UNSUPPORTED_VERSION for a client that speaks a later version than this node. */
export function checkVersion(version: number | null | undefined): void {
  if ((version ?? 0) <= PROTOCOL_VERSION) return;
  throw new HoldfastError(
    ErrorCode.UNSUPPORTED_VERSION,
    `protocol version ${version} is newer than this node's ${PROTOCOL_VERSION}`,
    { next: `ask with version ${PROTOCOL_VERSION}` },
  );
}

/** The 16 bytes of a guid; throws INVALID_ARGUMENT for any other length. */
export function checkGuid(guid: Uint8Array | null | undefined, what: string): Uint8Array {
  if (guid?.length === limits.guidBytes) return guid;
  throw new HoldfastError(
    ErrorCode.INVALID_ARGUMENT,
    `${what} has ${guid?.length ?? 0} bytes instead of ${limits.guidBytes}`,
  );
}

/** Opens a new session that this node owns. */
export async function openSession(
  core: NodeCore,
  peer: PeerInfo,
  request: v1.IOpenSessionRequest,
): Promise<OwnedSession> {
  checkVersion(request.protocolVersion);
  checkTakesSessions(core);
  const resumeToken = core.options.runtime.random.bytes(limits.guidBytes);
  const result = await replacing(core, {
    clientGuid: checkGuid(request.clientGuid, "client guid"),
    principal: peer.principal,
    clientName: (request.clientName ?? "").slice(0, limits.labelBytesMax / 4),
    timeoutMs: request.timeoutMs ?? 0,
    node: core.node,
    nodeIncarnation: core.options.lease.incarnation,
    previousSessionId: request.previousSessionId ?? 0,
    previousEndsFirst: true,
    resumeToken,
  });
  const record = result.session;
  if (!record) throw new HoldfastError(ErrorCode.INTERNAL, "the state opened a session without a record");
  const session = new OwnedSession(record, core.node, core.options.lease.incarnation);
  core.sessions.set(session.id, session);
  return session;
}

/**
 * Opens a session; where it replaces another, as soon as the owner of that one has ended what runs there, which it is asked
 * for by each attempt (semantics.md D2). Throws NOT_READY if that takes long; nothing is replaced then.
 */
async function replacing(core: NodeCore, openSession: v1.IOpenSession): Promise<v1.ICommandResult> {
  // Most replace none: they wait for nobody's end.
  if (!openSession.previousSessionId) return core.execute({ openSession });
  const { clock, scheduler } = core.options.runtime;
  const untilMs = clock.monotonicMs() + core.limits.drainMs;
  for (;;) {
    const left = core.sessionLet.next();
    try {
      return await core.execute({ openSession });
    } catch (thrown) {
      const error = HoldfastError.from(thrown);
      const awaited = error.code === ErrorCode.NOT_READY && !!error.extras.sessionId;
      if (!awaited || clock.monotonicMs() >= untilMs) throw error;
    }
    let timer: { cancel(): void } | undefined;
    const again = new Promise<void>((resolve) => {
      timer = scheduler.after(ASK_AGAIN_MS, resolve);
    });
    await Promise.race([left, again]);
    timer?.cancel();
  }
}

/** Until the owner of a session that is to be replaced is asked again: it may not have heard. */
const ASK_AGAIN_MS = 200;

/** Throws unless this node could take a session now: what a ping before attach asks. */
export function checkTakesSessions(core: NodeCore): void {
  if (core.stopping) throw new HoldfastError(ErrorCode.STOPPING, `${core.node} is stopping`);
  core.admit(null);
}

/**
 * A further channel of a session that is connected here (semantics.md H 26). Whoever binds proves what whoever resumes
 * proves, under the principal of the session; nothing of it is state, so nothing is logged.
 */
export async function bindChannel(
  core: NodeCore,
  peer: PeerInfo,
  context: v1.ICallContext,
): Promise<OwnedSession> {
  checkVersion(context.protocolVersion);
  checkTakesSessions(core);
  const id = context.sessionId ?? 0;
  const session = core.sessions.get(id) ?? (await notHere(core, id));
  if (session.channels.size === 0)
    throw new HoldfastError(ErrorCode.PRECONDITION_FAILED, `session ${id} has no channel at ${core.node}`, {
      next: "resume the session on this stream",
    });
  // Complete, token and all: it was answered to the client that is connected here.
  if (!isClientOf(session.record, peer, context))
    throw new HoldfastError(ErrorCode.ACCESS_DENIED, `session ${id} belongs to another principal or client`);
  core.admit(session);
  if (session.channels.size >= core.limits.channelsPerSessionMax)
    throw new HoldfastError(
      ErrorCode.LIMIT_EXCEEDED,
      `session ${id} has ${session.channels.size} channels, which is the limit`,
    );
  return session;
}

/** Whether the caller proves what the session's own client proves. For records with their token: of sessions in use here. */
export function isClientOf(record: v1.ISessionRecord, peer: PeerInfo, context: v1.ICallContext): boolean {
  return (
    record.principal === peer.principal &&
    sameBytes(record.resumeToken, context.resumeToken) &&
    sameBytes(record.clientGuid, checkGuid(context.clientGuid, "client guid"))
  );
}

/** Says where a session is that this node does not serve. */
async function notHere(core: NodeCore, id: number): Promise<never> {
  const answer = await core.options.coordinator.query({ stale: true, sessionId: id });
  const record = answer.sessions?.[0];
  if (record === undefined)
    throw new HoldfastError(ErrorCode.UNKNOWN_SESSION, `session ${id} is unknown, expired or closed`, {
      next: "open a new session",
    });
  throw new HoldfastError(ErrorCode.NOT_OWNER, `session ${id} is owned by ${record.owner}`, {
    owner: { node: record.owner ?? "" },
    epoch: record.epoch ?? 0,
  });
}

/** What a client needs to know of its session. */
export async function sessionInfo(core: NodeCore, session: OwnedSession): Promise<v1.ISessionInfo> {
  const answer = await core.options.coordinator.query({ stale: true, nodes: {} });
  const nodes = (answer.nodes ?? [])
    // NODE_UP
    .filter((node) => node.status === 1 && !node.foreign)
    .map((node) => ({
      node: node.name ?? "",
      grpcAddress: node.grpcAddress ?? "",
      httpAddress: node.httpAddress ?? "",
    }));
  const record = session.record;
  return {
    sessionId: session.id,
    resumeToken: record.resumeToken ?? null,
    epoch: session.epoch,
    owner: nodes.find((node) => node.node === core.node) ?? { node: core.node },
    nodes,
    timeoutMs: record.timeoutMs ?? 0,
    slots: limits.slotsPerSession,
    chunkBytesMax: limits.chunkBytesMax,
    shares: [...core.options.shares.keys()],
    connection: record.connection ?? 0,
    channels: session.channels.size,
  };
}
