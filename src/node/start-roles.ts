import {
  type Coordinator,
  coordinatorDefaults,
  coordinatorHandlers,
  createCoordinator,
  LEAVING,
  localCoordinatorClient,
  Transfers,
  Witness,
  witnessHandlers,
} from "../coordinator/index.js";
import { createFileNode } from "../filenode/file-node.js";
import { fileServiceHandlers } from "../filenode/grpc-file-service.js";
import { FileServiceForwarder, principalOf } from "../filenode/grpc-forward.js";
import { GrpcHeartbeats } from "../filenode/grpc-heartbeat.js";
import { LeaseKeeper } from "../filenode/lease-keeper.js";
import { PosixVfs } from "../filenode/vfs/posix-vfs.js";
import type { Replica } from "../replica/api.js";
import type { Runtime } from "../runtime/index.js";
import { HoldfastError } from "../wire/errors.js";
import { limits } from "../wire/limits.js";
import { services } from "../wire/services.js";
import type { NodeConfig } from "./config.js";
import { channelCredentials } from "./credentials.js";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";
import { exceptOwnPast, fenceCommand } from "./fence-command.js";
import type { GrpcServer } from "./grpc-server.js";

/** What the roles stand on. */
export interface RoleParts {
  readonly config: NodeConfig;
  readonly runtime: Runtime;
  readonly replica: Replica;
  /** The file node's next incarnation, durable before it is answered. */
  nextIncarnation(): Promise<number>;
  fatal(error: NodeExitError): void;
}

/** The running roles of a node. */
export interface Roles {
  readonly coordinator: Coordinator;
  /** Operations of operators: planned, begun, and driven while this node leads. */
  readonly transfers: Transfers;
  /** Begins to serve, once the node listens: registration needs the cluster, which needs this node. */
  begin(): void;
  /** Zero before the first registration. */
  incarnation(): number;
  /** Undefined without the file node's role. */
  leaseLeftMs(): number | undefined;
  /** Why no lease is asked for; empty when nothing is wrong. */
  withheld(): string;
  /** Finishes what runs and gives the sessions away. */
  stop(): Promise<void>;
}

/** How long a stopping node tries to give its sessions away; without a quorum it cannot, and its lease runs out instead. */
const LEAVE_WITHIN_MS = 1_000;

/** Starts coordinator and file node and puts their services on the server. */
export async function startRoles(parts: RoleParts, grpc: GrpcServer): Promise<Roles> {
  const { config, runtime, replica } = parts;
  let firstIncarnation = Infinity;
  const nextIncarnation = async (): Promise<number> => {
    const next = await parts.nextIncarnation();
    firstIncarnation = Math.min(firstIncarnation, next);
    return next;
  };
  const coordinator = createCoordinator({
    runtime,
    replica,
    config: {
      ...coordinatorDefaults,
      raftId: config.member?.raftId ?? 0,
      name: config.name,
      clusterId: config.cluster.id,
      leaseMs: config.options.leaseMs,
      leaseMarginMs: config.options.leaseMarginMs,
      callTimeoutMs: config.options.proposalTimeoutMs,
    },
    ...(config.fence.command === undefined
      ? {}
      : {
          fence: exceptOwnPast(
            fenceCommand({
              command: config.fence.command,
              timeoutMs: config.fence.commandTimeoutMs,
              log: runtime.log,
            }),
            { node: config.name, firstIncarnation: () => firstIncarnation },
          ),
        }),
  });
  grpc.add({
    name: "Coordinator",
    definition: services.Coordinator,
    handlers: coordinatorHandlers(coordinator, runtime.clock),
  });
  const { hub } = coordinator;
  const witness = new Witness({ runtime, node: config.name, state: () => replica.state, hub });
  grpc.add({ name: "Witness", definition: services.Witness, handlers: witnessHandlers(witness) });
  const transfers = new Transfers({
    runtime,
    replica,
    leaseLeftMs: (node) => coordinator.promises.leftMs(node),
  });
  if (!config.roles.includes("file-node")) {
    return {
      coordinator,
      transfers,
      begin() {},
      incarnation: () => 0,
      leaseLeftMs: () => undefined,
      withheld: () => "",
      stop: async () => {
        transfers.stop();
        coordinator.stop();
      },
    };
  }
  return startFileNode({ ...parts, nextIncarnation }, grpc, coordinator, transfers);
}

async function startFileNode(
  parts: RoleParts,
  grpc: GrpcServer,
  coordinator: Coordinator,
  transfers: Transfers,
): Promise<Roles> {
  const { config, runtime } = parts;
  const { log } = runtime;
  const client = localCoordinatorClient(coordinator);
  const channel = channelCredentials(config);
  const shares = await openShares(parts);
  const lease = new LeaseKeeper({
    runtime,
    coordinator: client,
    network: new GrpcHeartbeats(runtime, channel),
    shares,
    node: {
      name: config.name,
      grpcAddress: config.advertise.grpc,
      httpAddress: config.advertise.http,
      // The state goes by the label: who fences is not ready before it has.
      labels: config.fence.copyOnTakeover ? { ...config.labels, fence: "copy-on-takeover" } : config.labels,
      shares: [...shares.keys()],
    },
    nextIncarnation: () => parts.nextIncarnation(),
    lease: {
      leaseMs: config.options.leaseMs,
      heartbeatMs: config.options.leaseHeartbeatMs,
      marginMs: config.options.leaseMarginMs,
    },
    onRegistered: () => fileNode.start(),
  });
  if (config.fence.copyOnTakeover)
    log.warn(
      { fence: "copyOnTakeover", next: "use fence.command where clients share files" },
      "fence by copies: files that several sessions have open, and files with several hard links, are not covered",
    );
  const fileNode = createFileNode({
    node: config.name,
    runtime,
    coordinator: client,
    lease,
    shares,
    fence: config.fence.copyOnTakeover ? "copy-on-takeover" : "none",
  });
  const forwarder = new FileServiceForwarder(config.name, channel);
  const isMember = (name: string) =>
    [...parts.replica.state.members()].some((member) => member.name === name);
  const service = fileServiceHandlers({
    node: fileNode,
    runtime,
    // Without TLS nobody proves anything, and all are one principal.
    principalOf: (call) => principalOf(call, isMember) || "anonymous",
    forwarder,
  });
  grpc.add({ name: "FileService", definition: services.FileService, handlers: service.handlers });
  return {
    coordinator,
    transfers,
    begin() {
      lease.start().then(
        () => log.info({ incarnation: lease.incarnation }, "registered"),
        (error: unknown) => log.error({ error: String(error) }, "the file node could not be started"),
      );
    },
    incarnation: () => lease.incarnation,
    leaseLeftMs: () => lease.leftMs(),
    withheld: () => lease.withheld,
    async stop() {
      const quiet = await fileNode.stop();
      // From here on nothing is served and nothing is in the kernel, so the sessions may go at once instead of after the
      // lease. Where something still is, a new owner would take it back and then see it land: the lease has to run out.
      const sessionsMax = limits.takeoverSessionsWanted;
      const leave = { node: config.name, incarnation: lease.incarnation, cause: LEAVING, sessionsMax };
      lease.stop();
      if (quiet) {
        const left = await coordinator.execute(
          { nodeDown: { ...leave, wallTime: new Date().toISOString() } },
          runtime.clock.monotonicMs() + LEAVE_WITHIN_MS,
        );
        if (left.error) log.warn({ error: left.error.message }, "sessions could not be given away");
      } else log.warn({}, "calls still run: the sessions are not given away, the lease runs out instead");
      service.close();
      forwarder.close();
      transfers.stop();
      coordinator.stop();
    },
  };
}

async function openShares(parts: RoleParts): Promise<Map<string, PosixVfs>> {
  const shares = new Map<string, PosixVfs>();
  for (const { name, path } of parts.config.shares) {
    try {
      const share = await PosixVfs.open(path, (error) => {
        parts.fatal(
          new NodeExitError(
            NODE_EXIT.diskFailed,
            `share ${name} (${path}) failed: ${error.message}`,
            "look at the share's storage, then start the node again",
            error,
          ),
        );
      });
      shares.set(name, share);
    } catch (thrown) {
      throw new NodeExitError(
        NODE_EXIT.failed,
        `share ${name} cannot be opened: ${HoldfastError.from(thrown).message}`,
        `mount the storage or make the directory: ls -ld ${path}`,
        thrown,
      );
    }
  }
  return shares;
}
