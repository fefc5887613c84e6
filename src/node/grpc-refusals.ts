import {
  Metadata,
  type Server,
  ServerInterceptingCall,
  type ServerDuplexStream,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServiceDefinition,
  status,
} from "@grpc/grpc-js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { ERROR_DETAIL_TRAILER, toServiceError } from "../wire/grpc-errors.js";
import { limits } from "../wire/limits.js";

const OUR_METHODS = "/holdfast.";
const CONTRACTS_NEXT = "compare the client's proto files with those of this version";

/** A request whose bytes are no message of its type; the interceptor answers it, no handler ever sees it. */
class Malformed {
  constructor(readonly reason: string) {}
}

/** How a call ends, as grpc-js passes it on. */
interface EndOfCall {
  readonly code: status;
  readonly details: string;
  readonly metadata?: Metadata | null | undefined;
}

/** The same service, with undecodable requests turned into a value instead of grpc-js's INTERNAL without detail. */
export function tolerant(definition: ServiceDefinition): ServiceDefinition {
  const wrapped: Record<string, ServiceDefinition[string]> = {};
  for (const [name, method] of Object.entries(definition)) {
    wrapped[name] = {
      ...method,
      requestDeserialize(bytes: Buffer) {
        try {
          return method.requestDeserialize(bytes);
        } catch (error) {
          return new Malformed(error instanceof Error ? error.message : String(error));
        }
      },
    };
  }
  return wrapped;
}

/**
 * Gives every refusal the typed detail, those of grpc-js too: it ends a call by itself when a message is above the limit
 * (told by its announced length, before anything is allocated for it), cannot be unpacked, or when the deadline is over.
 * It does so through the call's own `sendStatus`, so that is where its words get ours.
 */
export const typedRefusals: ServerInterceptor = (method, call) => {
  if (!method.path.startsWith(OUR_METHODS)) return new ServerInterceptingCall(call);
  endInOurWords(call);
  return new ServerInterceptingCall(call, {
    start(next) {
      next(
        new ServerListenerBuilder()
          .withOnReceiveMessage((message: unknown, pass) => {
            if (!(message instanceof Malformed)) return pass(message);
            const text = `the request of ${method.path} is not a message of its type: ${message.reason}`;
            const next = CONTRACTS_NEXT;
            call.sendStatus(ended(new HoldfastError(ErrorCode.INVALID_ARGUMENT, text, { next })));
          })
          .build(),
      );
    },
  });
};

/** A call as grpc-js has it beneath all interceptors. */
interface BaseCall {
  readonly handler?: { readonly path?: string };
  sendStatus: (this: BaseCall, end: EndOfCall) => void;
}

const wrapped = new WeakSet<object>();

/**
 * Wraps `sendStatus` of all calls, at the first one. A function of its own in each call costs far more than its bytes: the
 * engine's young collections then keep one call alive for the sake of another and copy all of them.
 */
function endInOurWords(call: object): void {
  const base = Object.getPrototypeOf(call) as BaseCall;
  if (wrapped.has(base)) return;
  wrapped.add(base);
  const send = base.sendStatus;
  base.sendStatus = function (this: BaseCall, end) {
    const path = this.handler?.path ?? "";
    send.call(this, !path.startsWith(OUR_METHODS) || hasDetail(end) ? end : withDetail(path, end));
  };
}

function hasDetail(end: EndOfCall): boolean {
  return end.code === status.OK || (end.metadata?.get(ERROR_DETAIL_TRAILER).length ?? 0) > 0;
}

/** The status stays what the gRPC library chose, as its contract has it; code, sentence and next step are added. */
function withDetail<End extends EndOfCall>(path: string, end: End): End {
  const { details, metadata } = ended(inOurWords(path, end));
  return { ...end, details, metadata };
}

function inOurWords(path: string, { code, details }: EndOfCall): HoldfastError {
  const refused = (ours: ErrorCode, next: string) =>
    new HoldfastError(ours, `the call of ${path} is refused: ${details}`, { next });
  switch (code) {
    case status.RESOURCE_EXHAUSTED:
      return refused(ErrorCode.LIMIT_EXCEEDED, `keep each message within ${limits.messageBytesMax} bytes`);
    case status.DEADLINE_EXCEEDED:
      return new HoldfastError(ErrorCode.DEADLINE_EXCEEDED, `the deadline of ${path} has passed`, {
        next: "ask whether it happened before it is asked for again, or give the call more time",
      });
    case status.CANCELLED:
      return new HoldfastError(ErrorCode.CANCELLED, `the call of ${path} was cancelled: ${details}`);
    case status.UNIMPLEMENTED:
      return refused(ErrorCode.NOT_SUPPORTED, "send it unpacked, or with gzip");
    default:
      // What it says of a caller's bytes begins like this; the rest went wrong on this side.
      return /^(Invalid|Failed to decompress)/.test(details)
        ? refused(ErrorCode.INVALID_ARGUMENT, "see how the client encodes its calls")
        : new HoldfastError(ErrorCode.INTERNAL, `the call of ${path} failed: ${details}`);
  }
}

function ended(error: HoldfastError): { code: status; details: string; metadata: Metadata } {
  const { code = status.INTERNAL, details = "", metadata = new Metadata() } = toServiceError(error);
  return { code, details, metadata };
}

/** What grpc-js keeps for a path; a stream's is called at once, whatever the caller sends. */
interface Handler {
  readonly type: "bidi";
  readonly path: string;
  readonly func: (call: ServerDuplexStream<unknown, unknown>) => void;
  readonly serialize: (message: unknown) => Buffer;
  readonly deserialize: (bytes: Buffer) => unknown;
}

type Lookup = (path: string) => object | null;

/**
 * Answers calls of methods that nobody serves. grpc-js has no public place for that: it answers UNIMPLEMENTED without
 * detail where its look-up finds nothing, so the look-up finds this. Its version is pinned, and a test watches this.
 */
export function refuseUnknownMethods(server: Server): void {
  const inner = server as unknown as { _retrieveHandler: Lookup };
  const known: Lookup = inner._retrieveHandler.bind(server);
  inner._retrieveHandler = (path) => known(path) ?? unknownMethod(path);
}

function unknownMethod(path: string): Handler {
  // What a stranger sends as a path may be long.
  const text = `this node serves no method ${path.slice(0, 200)}`;
  const error = new HoldfastError(ErrorCode.NOT_SUPPORTED, text, { next: CONTRACTS_NEXT });
  return {
    type: "bidi",
    path,
    func: (call) => void call.emit("error", toServiceError(error)),
    serialize: () => Buffer.alloc(0),
    deserialize: () => null,
  };
}
