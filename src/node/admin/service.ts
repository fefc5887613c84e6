import type {
  sendUnaryData,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Transfers } from "../../coordinator/index.js";
import type { Replica } from "../../replica/api.js";
import type { Clock } from "../../runtime/api.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { toServiceError } from "../../wire/grpc-errors.js";
import type { v1 } from "../../wire/index.js";
import { closeHandle } from "./close-handle.js";
import type { EventRing } from "./event-ring.js";
import { listFailovers, listHandles, listLocks, listNodes, listOperations, listSessions } from "./lists.js";
import { explain } from "./explain/index.js";
import type { LeaderLog } from "./explain/leader-log.js";
import { changeMembersPatiently, listMembers, moveLeader } from "./members.js";
import type { OperatorGate } from "./operator-gate.js";
import { streamEvents } from "./events.js";

/** What the Admin service stands on. */
export interface AdminParts {
  readonly nodeName: string;
  readonly replica: Replica;
  readonly clock: Clock;
  readonly events: EventRing;
  readonly leaders: LeaderLog;
  /** Absent where no coordinator runs: such a node knows of no operations. */
  readonly transfers?: Transfers;
  readonly timeoutMs: number;
  /** Asked before each call that changes something. */
  readonly operatorGate: OperatorGate;
  nodeState(): v1.INodeState;
}

/** The gRPC handlers of the Admin service. */
export function adminHandlers(parts: AdminParts): UntypedServiceImplementation {
  const { replica } = parts;
  const transfers = (): Transfers => {
    if (parts.transfers !== undefined) return parts.transfers;
    throw new HoldfastError(ErrorCode.NOT_SUPPORTED, "this node is no coordinator", {
      next: "ask a coordinator: see `holdfast members`",
    });
  };
  const deadline = () => parts.clock.monotonicMs() + parts.timeoutMs;
  /** A reading call: linearizable unless the caller takes what this node has. */
  const read =
    <Reply extends object>(list: (request: v1.IListRecordsRequest) => Reply) =>
    async (request: v1.IListRecordsRequest): Promise<Reply> => {
      if (request.stale !== true) await replica.readBarrier(deadline());
      return { ...list(request), revision: replica.appliedIndex, clusterTimeMs: replica.clusterTimeMs() };
    };
  const command = async (body: v1.ICommand): Promise<v1.ICommandResult> => {
    const result = await replica.propose(body, { deadlineMs: deadline() });
    if (result.error) throw HoldfastError.fromDetail(result.error);
    return result;
  };
  /** A call that changes the cluster: for operators alone, where the node tells them apart. */
  const changing = <Request, Reply>(method: string, run: (request: Request) => Promise<Reply>) =>
    unary((request: Request, call) => {
      parts.operatorGate(method, call);
      return run(request);
    });
  const world = {
    nowMs: () => parts.clock.monotonicMs(),
    sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  };
  return {
    GetStatus: unary(async () => parts.nodeState()),
    ListNodes: unary(read((request) => listNodes(replica.state, request))),
    ListSessions: unary(read((request) => listSessions(replica.state, request))),
    ListHandles: unary(read((request) => listHandles(replica.state, request))),
    ListLocks: unary(read((request) => listLocks(replica.state, request))),
    ListFailovers: unary(read((request) => listFailovers(replica.state, request))),
    ListOperations: unary(read((request) => listOperations(replica.state, request))),
    ListMembers: unary(read(() => listMembers(replica))),
    ScheduleNode: changing("ScheduleNode", (request: v1.IScheduleNode) => command({ scheduleNode: request })),
    PlanTransfer: unary((request: v1.ITransferRequest) => transfers().plan(request)),
    Transfer: changing("Transfer", (request: v1.ITransferRequest) => transfers().begin(request)),
    CancelOperation: changing("CancelOperation", (request: v1.IOperationRequest) =>
      transfers().cancel(request),
    ),
    CloseHandle: changing("CloseHandle", (request: v1.IForceClose) =>
      closeHandle(parts, request, world.sleep),
    ),
    MoveLeader: changing("MoveLeader", (request: v1.IMoveLeaderRequest) => {
      parts.leaders.asked(request.to ?? "", request.reason ?? "");
      return moveLeader(replica, request, world, parts.timeoutMs);
    }),
    Explain: unary((request: v1.IExplainRequest) => explained(parts, request)),
    ChangeMembers: changing("ChangeMembers", (request: v1.IChangeMembersRequest) =>
      changeMembersPatiently(replica, request, world),
    ),
    ListEvents: (call: ServerWritableStream<v1.IListEventsRequest, v1.IEventsChunk>) =>
      void streamEvents(parts, call),
  };
}

/** Longest wait for a quorum before an explanation is made from what this node has. */
const EXPLAIN_BARRIER_MS = 1_000;

/** Explains from a state as new as any answer so far; without a quorum, when it is needed most, from this node's own. */
async function explained(parts: AdminParts, request: v1.IExplainRequest): Promise<v1.IExplainReply> {
  const { replica, clock, leaders } = parts;
  let alone = request.stale === true;
  if (!alone && request.kind !== "leader") {
    try {
      await replica.readBarrier(clock.monotonicMs() + Math.min(EXPLAIN_BARRIER_MS, parts.timeoutMs));
    } catch {
      alone = true;
    }
  }
  const world = {
    state: replica.state,
    events: parts.events.from(0).events,
    nowMs: replica.clusterTimeMs(),
    leadership: leaders.view(),
  };
  const pause = () => new Promise<void>((resolve) => setImmediate(resolve));
  const reply = await explain(world, request, pause);
  const marked = alone ? `${reply.summary} (From this node alone, without a quorum.)` : reply.summary;
  return { ...reply, summary: marked ?? "", clusterTimeMs: Math.round(world.nowMs) };
}

/** A unary handler from an async function; what it throws travels with its typed detail. */
export function unary<Request, Reply>(
  run: (request: Request, call: ServerUnaryCall<Request, Reply>) => Promise<Reply>,
) {
  const answer = async (call: ServerUnaryCall<Request, Reply>): Promise<Reply> => run(call.request, call);
  return (call: ServerUnaryCall<Request, Reply>, callback: sendUnaryData<Reply>): void => {
    answer(call).then(
      (reply) => callback(null, reply),
      (error: unknown) => callback(toServiceError(error)),
    );
  };
}
