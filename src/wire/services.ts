import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { v1 } from "./index.js";

/** A generated message class: what encodes and decodes one type. */
interface Codec {
  encode(message: never): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
}

/** "unary", or who streams. */
type Streaming = "unary" | "client" | "server" | "both";

type Rows = Record<string, readonly [request: Codec, response: Codec, streaming?: Streaming]>;

function method(service: string, name: string, row: Rows[string]): MethodDefinition<unknown, unknown> {
  const [request, response, streaming = "unary"] = row as unknown as [Codec, Codec, Streaming?];
  const write = (codec: Codec) => (message: unknown) => asBuffer(codec.encode(message as never).finish());
  return {
    path: `/holdfast.v1.${service}/${name}`,
    requestStream: streaming === "client" || streaming === "both",
    responseStream: streaming === "server" || streaming === "both",
    requestSerialize: write(request),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: write(response),
    responseDeserialize: (bytes) => response.decode(bytes),
    originalName: name.charAt(0).toLowerCase() + name.slice(1),
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function service(name: string, rows: Rows): ServiceDefinition {
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  for (const [methodName, row] of Object.entries(rows))
    definition[methodName] = method(name, methodName, row);
  return definition as unknown as ServiceDefinition;
}

/** All gRPC services, for servers and clients; keys are the method names of `proto/`. */
export const services = {
  Peer: service("Peer", {
    Link: [v1.PeerFrame, v1.PeerWelcome, "both"],
    InstallSnapshot: [v1.SnapshotChunk, v1.SnapshotProgress, "both"],
  }),
  Coordinator: service("Coordinator", {
    Stream: [v1.CoordinatorRequest, v1.CoordinatorResponse, "both"],
    Execute: [v1.Command, v1.CommandResult],
    Query: [v1.StateQuery, v1.StateAnswer],
    RegisterNode: [v1.RegisterNode, v1.CommandResult],
    ClaimKey: [v1.ClaimKey, v1.CommandResult],
    StoreKey: [v1.StoreKey, v1.CommandResult],
    ReleaseKey: [v1.ReleaseKey, v1.CommandResult],
    GetKey: [v1.GetKeyRequest, v1.CommandResult],
    BeginEffect: [v1.BeginEffect, v1.CommandResult],
    FinishEffect: [v1.FinishEffect, v1.CommandResult],
    Heartbeat: [v1.HeartbeatRequest, v1.HeartbeatResponse, "both"],
    Watch: [v1.WatchRequest, v1.WatchResponse, "server"],
  }),
  Witness: service("Witness", { Register: [v1.WitnessRequest, v1.WitnessNotice, "server"] }),
  FileService: service("FileService", {
    Session: [v1.FileRequest, v1.FileResponse, "both"],
    OpenSession: [v1.OpenSessionRequest, v1.SessionInfo],
    ResumeSession: [v1.ResumeSessionRequest, v1.SessionInfo],
    CloseSession: [v1.CloseSessionRequest, v1.Done],
    Call: [v1.FileRequest, v1.FileResponse],
    Open: [v1.OpenRequest, v1.OpenReply],
    Reconnect: [v1.ReconnectRequest, v1.OpenReply],
    Close: [v1.CloseRequest, v1.CloseReply],
    Read: [v1.ReadRequest, v1.ReadReply],
    Write: [v1.WriteRequest, v1.WriteReply],
    Lock: [v1.LockRequest, v1.LockReply],
    Stat: [v1.StatRequest, v1.StatReply],
    List: [v1.ListRequest, v1.ListReply],
    Rename: [v1.RenameRequest, v1.Done],
    Remove: [v1.RemoveRequest, v1.Done],
    MakeDirectory: [v1.MakeDirectoryRequest, v1.Done],
  }),
  Admin: service("Admin", {
    GetStatus: [v1.GetStatusRequest, v1.NodeState],
    ListNodes: [v1.ListRecordsRequest, v1.ListNodesReply],
    ListSessions: [v1.ListRecordsRequest, v1.ListSessionsReply],
    ListHandles: [v1.ListRecordsRequest, v1.ListHandlesReply],
    ListLocks: [v1.ListRecordsRequest, v1.ListLocksReply],
    ListEvents: [v1.ListEventsRequest, v1.EventsChunk, "server"],
    ListFailovers: [v1.ListRecordsRequest, v1.ListFailoversReply],
    ListOperations: [v1.ListRecordsRequest, v1.ListOperationsReply],
    PlanTransfer: [v1.TransferRequest, v1.TransferPlan],
    Transfer: [v1.TransferRequest, v1.OperationRecord],
    CancelOperation: [v1.OperationRequest, v1.OperationRecord],
    ScheduleNode: [v1.ScheduleNode, v1.CommandResult],
    MoveLeader: [v1.MoveLeaderRequest, v1.MoveLeaderReply],
    ListMembers: [v1.ListRecordsRequest, v1.ListMembersReply],
    ChangeMembers: [v1.ChangeMembersRequest, v1.ListMembersReply],
    CloseHandle: [v1.ForceClose, v1.CommandResult],
    Explain: [v1.ExplainRequest, v1.ExplainReply],
  }),
} as const;
