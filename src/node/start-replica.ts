import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { createReplica, replicaDefaults, type ReplicaConfig } from "../replica/index.js";
import type { Replica } from "../replica/api.js";
import type { Runtime } from "../runtime/index.js";
import { createStateMachine } from "../state/index.js";
import type { NodeStorage } from "../storage/index.js";
import { DISK_REFUSED, GrpcTransport } from "../transport/index.js";
import { collectLargeHeap } from "./collect.js";
import type { NodeConfig } from "./config.js";
import { channelCredentials } from "./credentials.js";
import type { NodeExitError } from "./exit-codes.js";
import { loadExit, refusedExit, replicaExit } from "./storage-exits.js";

/** A running replica and the handlers of its peer links. */
export interface ReplicaPart {
  readonly replica: Replica;
  readonly peerHandlers: UntypedServiceImplementation;
}

/** The replica's settings from the node's. */
function replicaConfig(config: NodeConfig, raftId: number): ReplicaConfig {
  const { options } = config;
  return {
    ...replicaDefaults,
    raftId,
    name: config.name,
    clusterId: config.cluster.id,
    initialMembers: config.cluster.members.map((member) => ({
      raftId: member.raftId,
      name: member.name,
      incarnation: 1,
      grpcAddress: member.grpc,
      httpAddress: member.http,
    })),
    shares: config.shares.map((share) => ({
      name: share.name,
      continuouslyAvailable: true,
      scaleOut: true,
      leaseMask: 7,
    })),
    tickMs: options.tickMs,
    electionTicks: options.electionTicks,
    heartbeatTicks: options.heartbeatTicks,
    proposeTimeoutMs: options.proposalTimeoutMs,
    uncommittedBytesMax: options.uncommittedBytesMax,
    appendBytesMax: options.appendBytesMax,
    inflightMessagesMax: options.inflightMessagesMax,
    inflightBytesMax: options.inflightBytesMax,
    compactKeepEntries: options.logEntriesKept,
  };
}

/** Starts the replica of a coordinator with its links to the peers. */
export async function startReplica(
  config: NodeConfig,
  runtime: Runtime,
  storage: NodeStorage,
  diskLow: () => boolean,
  fatal: (error: NodeExitError) => void,
): Promise<ReplicaPart> {
  const { identity } = storage;
  if (identity === null) throw new Error("invariant: the storage was initialised");
  let transport: GrpcTransport | undefined;
  const replica = await createReplica({
    runtime,
    config: replicaConfig(config, identity.raftId),
    storage,
    onLoaded: () => void collectLargeHeap(),
    createTransport(events) {
      transport = new GrpcTransport({
        self: identity,
        events: {
          onFrames: (from, frames) => events.onFrames(from, frames),
          onConnected: (peer) => events.onConnected(peer),
          onDisconnected: (peer, reason) => events.onDisconnected(peer, reason),
          onSnapshot: (from, first) => events.onSnapshot(from, first),
          onRefused(_, refusal) {
            if (refusal.code === DISK_REFUSED) fatal(refusedExit(config.name, config.data, refusal));
          },
        },
        admit: (said) => storage.admitPeer(said),
        scheduler: runtime.scheduler,
        log: runtime.log.child({ part: "transport" }),
        meter: runtime.meter,
        credentials: channelCredentials(config),
      });
      return transport;
    },
    createStateMachine,
    diskLow,
    onFatal: (reason, exitCode, next) => fatal(replicaExit(reason, exitCode, next)),
  }).catch((thrown: unknown) => {
    throw loadExit(config.data, thrown);
  });
  if (transport === undefined) throw new Error("invariant: the replica made its transport");
  return { replica, peerHandlers: transport.handlers };
}
