import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  sendUnaryData,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Clock } from "../runtime/api.js";
import { provenName } from "../wire/caller.js";
import { HoldfastError } from "../wire/errors.js";
import { toServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import { CallStream } from "./call-stream.js";
import { refuseOtherHeartbeat, refuseOtherName } from "./caller-gate.js";
import type { Coordinator } from "./coordinator.js";

type Unary<Request, Response> = handleUnaryCall<Request, Response>;

/** The handlers of `services.Coordinator`. */
export function coordinatorHandlers(coordinator: Coordinator, clock: Clock): UntypedServiceImplementation {
  const deadline = (call: { getDeadline(): Date | number }): number | undefined =>
    monotonicDeadline(call, clock);
  const command =
    <Request>(wrap: (request: Request) => v1.ICommand): Unary<Request, v1.ICommandResult> =>
    (call: ServerUnaryCall<Request, v1.ICommandResult>, callback: sendUnaryData<v1.ICommandResult>) => {
      const wrapped = wrap(call.request);
      const stranger = refuseOtherName(provenName(call), wrapped);
      if (stranger !== null) return callback(toServiceError(HoldfastError.fromDetail(stranger)));
      coordinator.executeWith(wrapped, deadline(call), (result) => {
        if (result.error) callback(toServiceError(HoldfastError.fromDetail(result.error)));
        else callback(null, result);
      });
    };
  const handlers = {
    execute: command((request: v1.ICommand) => request),
    registerNode: command((registerNode: v1.IRegisterNode) => ({ registerNode })),
    claimKey: command((claimKey: v1.IClaimKey) => ({ claimKey })),
    storeKey: command((storeKey: v1.IStoreKey) => ({ storeKey })),
    releaseKey: command((releaseKey: v1.IReleaseKey) => ({ releaseKey })),
    beginEffect: command((beginEffect: v1.IBeginEffect) => ({ beginEffect })),
    finishEffect: command((finishEffect: v1.IFinishEffect) => ({ finishEffect })),
    query: ((call, callback) => {
      void coordinator.query(call.request, deadline(call)).then((answer) => {
        if (answer.error) callback(toServiceError(HoldfastError.fromDetail(answer.error)));
        else callback(null, answer);
      });
    }) satisfies Unary<v1.IStateQuery, v1.IStateAnswer>,
    getKey: ((call, callback) => {
      void coordinator.query({ key: call.request.key ?? "" }, deadline(call)).then((answer) => {
        const key = answer.keys?.[0];
        if (answer.error || key === undefined)
          callback(
            toServiceError(HoldfastError.fromDetail(answer.error ?? { message: "the key is missing" })),
          );
        else callback(null, { revision: answer.revision ?? 0, key });
      });
    }) satisfies Unary<v1.IGetKeyRequest, v1.ICommandResult>,
    stream: ((call) => void new CallStream(coordinator, call)) satisfies handleBidiStreamingCall<
      v1.ICoordinatorRequest,
      v1.ICoordinatorResponse
    >,
    heartbeat: ((call) => {
      const proven = provenName(call);
      let last: v1.IHeartbeatRequest | null = null;
      call.on("data", (request: v1.IHeartbeatRequest) => {
        const stranger = refuseOtherHeartbeat(proven, request);
        if (stranger !== null) {
          call.emit("error", toServiceError(HoldfastError.fromDetail(stranger)));
          return;
        }
        last = request;
        call.write(coordinator.heartbeat(request));
      });
      const ended = (): void => {
        if (last !== null) coordinator.heartbeatsEnded(last.node ?? "", Number(last.incarnation ?? 0));
        last = null;
      };
      call.on("end", () => {
        ended();
        call.end();
      });
      call.on("cancelled", ended);
      call.on("error", ended);
    }) satisfies handleBidiStreamingCall<v1.IHeartbeatRequest, v1.IHeartbeatResponse>,
    watch: ((call) => serveWatch(coordinator, call)) satisfies handleServerStreamingCall<
      v1.IWatchRequest,
      v1.IWatchResponse
    >,
  };
  return handlers as unknown as UntypedServiceImplementation;
}

/** The caller's deadline on the monotonic clock; undefined when it set none. */
function monotonicDeadline(call: { getDeadline(): Date | number }, clock: Clock): number | undefined {
  const deadline = call.getDeadline();
  const wall = typeof deadline === "number" ? deadline : deadline.getTime();
  return Number.isFinite(wall) ? clock.monotonicMs() + (wall - clock.wallMs()) : undefined;
}

function serveWatch(
  coordinator: Coordinator,
  call: ServerWritableStream<v1.IWatchRequest, v1.IWatchResponse>,
): void {
  const { fromRevision, node, kinds } = call.request;
  const filter = { node: node ?? "", kinds: new Set(kinds ?? []) };
  const watch = coordinator.hub.watch(Number(fromRevision ?? 0), filter, (response) => call.write(response));
  call.on("drain", () => watch.resume());
  const end = (): void => coordinator.hub.unwatch(watch);
  call.on("cancelled", end);
  call.on("error", end);
  call.on("close", end);
}
