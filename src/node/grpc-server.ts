import type { Http2Server } from "node:http2";
import { fileURLToPath } from "node:url";
import { Server, type ServiceDefinition, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import { limits } from "../wire/limits.js";
import type { NodeConfig } from "./config.js";
import { serverCredentials } from "./credentials.js";
import { refuseUnknownMethods, tolerant, typedRefusals } from "./grpc-refusals.js";
import { addressError } from "./http-server.js";
import { useStreamTables } from "./stream-table.js";

/** A connection is probed this long after its last probe was answered. */
const PROBE_MS = 1_000;

/** One service with its handlers. */
export interface HostedService {
  readonly name: string;
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

/** The gRPC side of a node: all services on one port, with health and reflection. */
export class GrpcServer {
  private readonly server: Server;
  private readonly health: HealthImplementation;
  private readonly names: string[] = [];

  constructor(private readonly config: NodeConfig) {
    this.server = new Server({
      "grpc.max_receive_message_length": limits.messageBytesMax,
      "grpc.max_send_message_length": limits.messageBytesMax + 65_536,
      "grpc.max_concurrent_streams": config.options.streamsPerConnectionMax,
      // A client whose host vanished without a word is noticed, and its streams with their memory go.
      "grpc.keepalive_time_ms": PROBE_MS,
      // Long enough for a client that is busy, as one is that packs large messages: a connection that is given up takes the
      // answers of all its calls along, and those that it had not yet brought here end as "Stream refused by server".
      "grpc.keepalive_timeout_ms": config.options.connectionSilenceMsMax,
      // Its records cost objects for each call, and nobody reads them: a node has metrics of its own.
      "grpc.enable_channelz": 0,
      interceptors: [typedRefusals],
    });
    refuseUnknownMethods(this.server);
    this.health = new HealthImplementation({ "": "NOT_SERVING" });
    this.health.addToServer(this.server);
    new ReflectionService(loadContracts()).addToServer(this.server);
  }

  add(service: HostedService): void {
    this.server.addService(tolerant(service.definition), service.handlers);
    this.names.push(`holdfast.v1.${service.name}`);
    this.health.setStatus(`holdfast.v1.${service.name}`, "NOT_SERVING");
  }

  /** What grpc.health.v1 says, for the node and for each of its services. */
  setServing(serving: boolean): void {
    for (const name of ["", ...this.names]) this.health.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
  }

  /** Binds the configured address; answers the port. */
  listen(): Promise<number> {
    const address = this.config.listen.grpc;
    return new Promise((resolve, reject) => {
      this.server.bindAsync(address, serverCredentials(this.config), (error, port) => {
        if (error !== null) return reject(addressError("gRPC", address, error));
        for (const http2Server of listening(this.server)) useStreamTables(http2Server);
        resolve(port);
      });
    });
  }

  /** Lets running calls end within `graceMs`, then cuts them off. */
  close(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.server.forceShutdown(), graceMs);
      this.server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** The servers beneath; grpc-js keeps them to itself. */
function listening(server: Server): Iterable<Http2Server> {
  return (server as unknown as { http2Servers?: Map<Http2Server, unknown> }).http2Servers?.keys() ?? [];
}

function loadContracts() {
  const folder = fileURLToPath(new URL("../../../proto/", import.meta.url));
  const files = ["coordinator", "files", "witness", "admin", "raft"].map(
    (name) => `holdfast/v1/${name}.proto`,
  );
  // Under the names that stand in the files: a client that has only reflection shall write what the documentation says.
  return loadSync(files, { includeDirs: [folder], longs: String, keepCase: true });
}
