import {
  type ChannelCredentials,
  Client,
  type ClientReadableStream,
  connectivityState,
  type ServiceError,
} from "@grpc/grpc-js";
import { type ClientTls, clientCredentials } from "../client/index.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { fromServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { services } from "../wire/services.js";

/** Requests and answers of the Admin service. */
export interface AdminCalls {
  GetStatus: [v1.IGetStatusRequest, v1.INodeState];
  ListNodes: [v1.IListRecordsRequest, v1.IListNodesReply];
  ListSessions: [v1.IListRecordsRequest, v1.IListSessionsReply];
  ListHandles: [v1.IListRecordsRequest, v1.IListHandlesReply];
  ListLocks: [v1.IListRecordsRequest, v1.IListLocksReply];
  ListFailovers: [v1.IListRecordsRequest, v1.IListFailoversReply];
  ListOperations: [v1.IListRecordsRequest, v1.IListOperationsReply];
  PlanTransfer: [v1.ITransferRequest, v1.ITransferPlan];
  Transfer: [v1.ITransferRequest, v1.IOperationRecord];
  CancelOperation: [v1.IOperationRequest, v1.IOperationRecord];
  ScheduleNode: [v1.IScheduleNode, v1.ICommandResult];
  MoveLeader: [v1.IMoveLeaderRequest, v1.IMoveLeaderReply];
  ListMembers: [v1.IListRecordsRequest, v1.IListMembersReply];
  ChangeMembers: [v1.IChangeMembersRequest, v1.IListMembersReply];
  CloseHandle: [v1.IForceClose, v1.ICommandResult];
  Explain: [v1.IExplainRequest, v1.IExplainReply];
}

/** Longest wait for a connection before the next endpoint is tried beside it. */
const STAGGER_MS = 250;

// A command line is one client: all its connections prove the same name.
let credentials: ChannelCredentials = clientCredentials(undefined);

/** From here on connections are made with these certificates; undefined: plain. */
export function useTls(tls: ClientTls | undefined): void {
  credentials = clientCredentials(tls);
}

/** The Admin service of one node. */
export class AdminEndpoint {
  private readonly client: Client;
  /** There has been a connection, so a call may have left. */
  private connected = false;

  constructor(readonly address: string) {
    this.client = new Client(address, credentials, {
      "grpc.max_receive_message_length": limits.messageBytesMax + 65_536,
      // A command lives shorter than the pause after a first failed connection.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
      "grpc.enable_http_proxy": 0,
    });
    this.watch();
  }

  /** Follows the channel's state until it has had a connection once. */
  private watch(): void {
    const channel = this.client.getChannel();
    const state = channel.getConnectivityState(false);
    if (state === connectivityState.READY) this.connected = true;
    else if (state !== connectivityState.SHUTDOWN)
      channel.watchConnectivityState(state, Infinity, () => this.watch());
  }

  /**
   * True when a call that ended with this error may have happened, or happen yet: it may have left, and the node has not said
   * that it did not do it. Its own word for "not in time" does not say that either.
   */
  leavesOpen({ code, extras }: HoldfastError): boolean {
    if (code === ErrorCode.DEADLINE_EXCEEDED) return this.connected;
    return code === ErrorCode.NOT_READY && extras.cause !== undefined && this.connected;
  }

  /**
   * Rejects with HoldfastError. One that gets no connection within `connectMs` is given up before it was sent (NOT_READY): a
   * stopped process has its connections accepted by the kernel, and says nothing on them.
   */
  call<M extends keyof AdminCalls>(
    method: M,
    request: AdminCalls[M][0],
    timeoutMs: number,
    connectMs = Number.POSITIVE_INFINITY,
  ): Promise<AdminCalls[M][1]> {
    const definition = services.Admin[method];
    if (definition === undefined) throw new Error(`no method ${method}`);
    return new Promise((resolve, reject) => {
      let unsent = false;
      const giveUp = (): void => {
        if (this.connected) return;
        unsent = true;
        call.cancel();
      };
      const timer = connectMs < timeoutMs ? setTimeout(giveUp, connectMs) : undefined;
      const call = this.client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        { deadline: Date.now() + timeoutMs },
        (error: ServiceError | null, response?: object) => {
          clearTimeout(timer);
          if (unsent) reject(new HoldfastError(ErrorCode.NOT_READY, "no connection in time"));
          else if (error !== null) reject(plain(fromServiceError(error)));
          else resolve(response as AdminCalls[M][1]);
        },
      );
    });
  }

  /** `timeoutMs` infinite: until it is cancelled. */
  events(request: v1.IListEventsRequest, timeoutMs: number): ClientReadableStream<v1.IEventsChunk> {
    const definition = services.Admin["ListEvents"];
    if (definition === undefined) throw new Error("no method ListEvents");
    return this.client.makeServerStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize as (bytes: Buffer) => v1.IEventsChunk,
      request,
      Number.isFinite(timeoutMs) ? { deadline: Date.now() + timeoutMs } : {},
    );
  }

  close(): void {
    this.client.close();
  }
}

const REASONS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, "connection refused"],
  [/ENOTFOUND|Name resolution failed/, "its name cannot be resolved"],
  [/EHOSTUNREACH|ENETUNREACH/, "no route to it"],
  [/ECONNRESET|Connection dropped/, "the connection broke"],
  [/Protocol error/, "what listens there does not speak gRPC"],
  [/waiting for|Deadline exceeded/i, "no answer in time"],
];

/** The transport's words for a node that cannot be reached, made short enough for a row of a table. */
export function plain(error: HoldfastError): HoldfastError {
  if (error.code !== ErrorCode.NOT_READY && error.code !== ErrorCode.DEADLINE_EXCEEDED) return error;
  // What has no cause is the node's own word.
  if (error.extras.cause === undefined) return error;
  const reason = REASONS.find(([pattern]) => pattern.test(error.message))?.[1];
  return reason === undefined
    ? error
    : new HoldfastError(error.code, reason, { ...error.extras, cause: error });
}

/** What one node said, or why it did not. */
export type Answer<T> =
  | { readonly address: string; readonly value: T }
  | { readonly address: string; readonly error: HoldfastError };

/** Asks every endpoint at once; each has a row in the answer, those that do not answer too. */
export async function askEach<M extends keyof AdminCalls>(
  endpoints: readonly string[],
  method: M,
  request: AdminCalls[M][0],
  timeoutMs: number,
): Promise<Answer<AdminCalls[M][1]>[]> {
  return Promise.all(
    endpoints.map(async (address) => {
      const endpoint = new AdminEndpoint(address);
      try {
        return { address, value: await endpoint.call(method, request, timeoutMs) };
      } catch (error) {
        return { address, error: HoldfastError.from(error) };
      } finally {
        endpoint.close();
      }
    }),
  );
}

/** Errors after which another endpoint may do better. */
const ELSEWHERE = new Set<ErrorCode>([
  ErrorCode.NOT_READY,
  ErrorCode.NO_QUORUM,
  ErrorCode.NOT_LEADER,
  ErrorCode.STOPPING,
  ErrorCode.DEADLINE_EXCEEDED,
]);

/**
 * Asks the endpoints for one answer: the first one, and after a short stagger or a failure the next beside it. Only for
 * calls that may be asked twice: reads, and writes that carry an id of their own.
 */
export function askAny<M extends keyof AdminCalls>(
  endpoints: readonly string[],
  method: M,
  request: AdminCalls[M][0],
  timeoutMs: number,
): Promise<AdminCalls[M][1]> {
  return new Promise((resolve, reject) => {
    const open: AdminEndpoint[] = [];
    const errors: { address: string; error: HoldfastError }[] = [];
    let next = 0;
    let timer: NodeJS.Timeout | undefined;
    const finish = (act: () => void) => {
      clearTimeout(timer);
      for (const endpoint of open) endpoint.close();
      next = endpoints.length;
      act();
    };
    const start = () => {
      clearTimeout(timer);
      const address = endpoints[next];
      if (address === undefined) return;
      next += 1;
      timer = setTimeout(start, STAGGER_MS);
      const endpoint = new AdminEndpoint(address);
      open.push(endpoint);
      endpoint.call(method, request, timeoutMs).then(
        (value) => finish(() => resolve(value)),
        (thrown: unknown) => {
          const error = HoldfastError.from(thrown);
          if (!ELSEWHERE.has(error.code)) return finish(() => reject(error));
          errors.push({ address, error });
          if (errors.length === endpoints.length) finish(() => reject(nobody(errors)));
          else start();
        },
      );
    };
    start();
  });
}

/**
 * How long one node is waited for before a write with an id of its own is asked of the next. Far more than a cluster takes
 * that is well, and less than a node lease: a forced transfer away from a node that hangs, and is asked first, has to be
 * in the log before that node is declared down and its sessions are given to whomever placement chooses.
 */
export const REPEAT_AFTER_MS = 400;

/** How long a connection is waited for while there are others to ask. A cluster that is well takes a hundredth of it. */
const CONNECT_MS = 1_000;

/**
 * Like `askAny`, one endpoint after the other: for writes that a second node must not be asked beside the first. What one
 * does not answer may have happened, so that ends it with OUTCOME_UNKNOWN; unless the write carries an id by which every node knows
 * it again: `repeatAfterMs` says so, and how long each but the last is waited for. A node that names the leader is
 * followed to it, whether it was given as an endpoint or not.
 */
export async function askInTurn<M extends keyof AdminCalls>(
  endpoints: readonly string[],
  method: M,
  request: AdminCalls[M][0],
  timeoutMs: number,
  repeatAfterMs?: number,
): Promise<AdminCalls[M][1]> {
  const errors: { address: string; error: HoldfastError }[] = [];
  let silent: string | undefined;
  const answered = new Set<string>();
  const deadline = Date.now() + timeoutMs;
  let queue = [...endpoints];
  for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
    const endpoint = new AdminEndpoint(address);
    const leftMs = Math.max(1, deadline - Date.now());
    const shareMs = queue.length === 0 ? leftMs : leftMs / (queue.length + 1);
    const patienceMs =
      repeatAfterMs === undefined || queue.length === 0 ? leftMs : Math.min(repeatAfterMs, shareMs);
    const connectMs = queue.length === 0 ? leftMs : Math.min(CONNECT_MS, shareMs);
    try {
      return await endpoint.call(method, request, patienceMs, connectMs);
    } catch (thrown) {
      const error = HoldfastError.from(thrown);
      if (!ELSEWHERE.has(error.code)) throw error;
      if (endpoint.leavesOpen(error)) {
        if (repeatAfterMs === undefined) throw unknownOutcome(method, address);
        silent ??= address;
      }
      errors.push({ address, error });
      if (error.code !== ErrorCode.NOT_LEADER) continue;
      answered.add(address);
      const leader = error.extras.leader?.grpcAddress ?? "";
      if (leader !== "" && !answered.has(leader))
        queue = [leader, ...queue.filter((each) => each !== leader)];
    } finally {
      endpoint.close();
    }
  }
  throw silent === undefined ? nobody(errors) : unknownOutcome(method, silent);
}

/** Where to look whether a write happened. */
const LOOK: Partial<Record<keyof AdminCalls, string>> = {
  Transfer: "holdfast ops list",
  CancelOperation: "holdfast ops list",
  ScheduleNode: "holdfast nodes",
  MoveLeader: "holdfast status",
  ChangeMembers: "holdfast members",
};

function unknownOutcome(method: keyof AdminCalls, address: string): HoldfastError {
  const text = `${address} did not answer: it may have been done, or be done yet`;
  return new HoldfastError(ErrorCode.OUTCOME_UNKNOWN, text, {
    next: `${LOOK[method] ?? "holdfast status"}, before it is asked for again`,
  });
}

/** One error for "none of them": the one that says most, with every address. */
function nobody(errors: readonly { address: string; error: HoldfastError }[]): HoldfastError {
  const telling = errors.find((each) => each.error.code !== ErrorCode.NOT_READY)?.error;
  const list = errors.map((each) => `${each.address}: ${each.error.message}`).join("; ");
  return new HoldfastError(telling?.code ?? ErrorCode.NOT_READY, `no endpoint could answer (${list})`, {
    next:
      telling === undefined
        ? "start the cluster with `make up`, or name its nodes with --endpoints host:port,..."
        : (telling.extras.next ?? "holdfast status"),
  });
}
