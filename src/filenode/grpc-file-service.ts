import type {
  Metadata,
  sendUnaryData,
  ServerDuplexStream,
  ServerUnaryCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Runtime } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { toServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import type { FileNode, PeerInfo } from "./api.js";
import { FORWARDED, type FileServiceForwarder } from "./grpc-forward.js";
import { serveStream } from "./grpc-stream.js";
import { UnaryCalls } from "./unary-calls.js";

/** What the FileService stands on. */
export interface FileServiceParts {
  readonly node: FileNode;
  readonly runtime: Runtime;
  /** Who calls, as the transport has authenticated it. */
  readonly principalOf: (call: { readonly metadata: Metadata; getPeer(): string }) => string;
  /** Passes calls on to owners; null: they are answered NOT_OWNER. */
  readonly forwarder: FileServiceForwarder | null;
}

/** A unary call whose request carries a context. */
interface WithContext {
  context?: v1.ICallContext | null;
}

/** The gRPC handlers of FileService; `close` lets go of thin clients' sessions. */
export function fileServiceHandlers(parts: FileServiceParts): {
  readonly handlers: UntypedServiceImplementation;
  close(): void;
} {
  const unary = new UnaryCalls(parts.node, parts.runtime);
  const peerOf = (call: { readonly metadata: Metadata; getPeer(): string }): PeerInfo => ({
    principal: parts.principalOf(call),
    address: call.getPeer(),
  });

  /** A call inside a session: `wrap` makes the stream's form of the request, `pick` takes the reply out of the answer. */
  const inSession =
    <Request extends WithContext, Reply>(
      method: string,
      wrap: (request: Request) => v1.IFileRequest,
      pick: (response: v1.IFileResponse) => Reply | null | undefined,
    ) =>
    (call: ServerUnaryCall<Request, Reply>, callback: sendUnaryData<Reply>): void => {
      const context = call.request.context ?? {};
      const request = wrap(call.request);
      const deadlineMs = request.deadlineMs || timeLeft(parts.runtime, call.getDeadline());
      answer(call, callback, context, method, async () => {
        const response = await unary.call(peerOf(call), context, { ...request, deadlineMs }, (cancel) => {
          call.on("cancelled", cancel);
        });
        return required(method, pick(response));
      });
    };

  const answer = <Request extends object, Reply>(
    call: ServerUnaryCall<Request, Reply>,
    callback: sendUnaryData<Reply>,
    context: v1.ICallContext,
    method: string,
    run: () => Promise<Reply>,
  ): void => {
    run()
      .catch((error: unknown) => elsewhere(parts, call, context, method, error) as Promise<Reply>)
      .then(
        (reply) => callback(null, reply),
        (error: unknown) => callback(toServiceError(error)),
      );
  };

  const handlers: UntypedServiceImplementation = {
    Session: (call: ServerDuplexStream<v1.FileRequest, v1.FileResponse>) =>
      serveStream(parts.node, peerOf(call), call),
    OpenSession: (call: ServerUnaryCall<v1.OpenSessionRequest, v1.ISessionInfo>, callback: Callback) =>
      answer(call, callback, {}, "OpenSession", () => unary.openSession(peerOf(call), call.request)),
    ResumeSession: (call: ServerUnaryCall<v1.ResumeSessionRequest, v1.ISessionInfo>, callback: Callback) => {
      const context = call.request.context ?? {};
      answer(call, callback, context, "ResumeSession", () => unary.resumeSession(peerOf(call), context));
    },
    CloseSession: inSession<v1.CloseSessionRequest, v1.IDone>(
      "CloseSession",
      (closeSession) => ({ closeSession }),
      (response) => response.done,
    ),
    Call: inSession<v1.FileRequest, v1.IFileResponse>(
      "Call",
      (request) => request,
      (response) => response,
    ),
    Open: inSession<v1.OpenRequest, v1.IOpenReply>(
      "Open",
      (open) => ({ open }),
      (response) => response.open,
    ),
    Reconnect: inSession<v1.ReconnectRequest, v1.IOpenReply>(
      "Reconnect",
      (reconnect) => ({ reconnect }),
      (response) => response.open,
    ),
    Close: inSession<v1.CloseRequest, v1.ICloseReply>(
      "Close",
      (close) => ({ close }),
      (response) => response.close,
    ),
    Read: inSession<v1.ReadRequest, v1.IReadReply>(
      "Read",
      (read) => ({ read }),
      (response) => response.read,
    ),
    Write: inSession<v1.WriteRequest, v1.IWriteReply>(
      "Write",
      (write) => ({ write }),
      (response) => response.write,
    ),
    Lock: inSession<v1.LockRequest, v1.ILockReply>(
      "Lock",
      (lock) => ({ lock }),
      (response) => response.lock,
    ),
    Stat: inSession<v1.StatRequest, v1.IStatReply>(
      "Stat",
      (stat) => ({ stat }),
      (response) => response.stat,
    ),
    List: inSession<v1.ListRequest, v1.IListReply>(
      "List",
      (list) => ({ list }),
      (response) => response.list,
    ),
    Rename: inSession<v1.RenameRequest, v1.IDone>(
      "Rename",
      (rename) => ({ rename }),
      (response) => response.done,
    ),
    Remove: inSession<v1.RemoveRequest, v1.IDone>(
      "Remove",
      (remove) => ({ remove }),
      (response) => response.done,
    ),
    MakeDirectory: inSession<v1.MakeDirectoryRequest, v1.IDone>(
      "MakeDirectory",
      (makeDirectory) => ({ makeDirectory }),
      (response) => response.done,
    ),
  };
  return { handlers, close: () => unary.close() };
}

type Callback = sendUnaryData<v1.ISessionInfo>;

// The owner answers in our place, unless the caller wants to be told where it is, or another node asked us already.
async function elsewhere(
  parts: FileServiceParts,
  call: ServerUnaryCall<object, unknown>,
  context: v1.ICallContext,
  method: string,
  thrown: unknown,
): Promise<unknown> {
  const error = HoldfastError.from(thrown);
  const address = error.code === ErrorCode.NOT_OWNER ? error.extras.owner?.grpcAddress : undefined;
  const passedOn = call.metadata.get(FORWARDED).length > 0;
  if (!address || parts.forwarder === null || context.redirect || passedOn) throw error;
  return parts.forwarder.forward(address, method, call.request, call);
}

function timeLeft(runtime: Runtime, deadline: Date | number): number {
  const at = typeof deadline === "number" ? deadline : deadline.getTime();
  if (!Number.isFinite(at)) return 0;
  return Math.max(1, Math.min(0x7fffffff, Math.round(at - runtime.clock.wallMs())));
}

function required<Reply>(method: string, reply: Reply | null | undefined): Reply {
  if (reply !== null && reply !== undefined) return reply;
  throw new HoldfastError(
    ErrorCode.INVALID_ARGUMENT,
    `${method}: the request has no body that fits this method`,
  );
}
