import { join } from "node:path";
import { LeaderLog } from "./admin/explain/leader-log.js";
import { NodeNotes } from "./admin/node-notes.js";
import { operatorGate } from "./admin/operator-gate.js";
import { adminHandlers } from "./admin/service.js";
import { EventRing } from "./admin/event-ring.js";
import type { NodeConfig } from "./config.js";
import { prepareDataFolder, writePidFile } from "./data-folder.js";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";
import { GrpcServer } from "./grpc-server.js";
import { HealthChecks } from "./health.js";
import { addHealthChecks } from "./health-checks.js";
import { startHttpServer, type HttpServer } from "./http-server.js";
import { LoopDelay } from "./loop-delay.js";
import { memberName, nodeState, otherProblems, type StateSources } from "./node-state.js";
import { openNodeStorage } from "./open-storage.js";
import { rehearseTakeover } from "./rehearse.js";
import { startRoles } from "./start-roles.js";
import { startReplica } from "./start-replica.js";
import { describeMetrics, metricsText } from "./telemetry.js";
import { version } from "./version.js";
import {
  LoopWatch,
  openLog,
  PromMeter,
  realClock,
  realRandom,
  realScheduler,
  type Log,
  type ProcessLog,
  type Runtime,
} from "../runtime/index.js";
import { DiskGuard, FORMAT_VERSION, folderSpace } from "../storage/index.js";
import { limits } from "../wire/limits.js";
import { NOTABLE_KINDS } from "../wire/notable-events.js";
import { services } from "../wire/services.js";

/** A node that was started. */
export interface RunningNode {
  readonly log: Log;
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Ordered: not ready any more, sessions and leadership handed over, state flushed. Never rejects. */
  stop(why: string): Promise<void>;
  /** Writes out the log; for the end of the process. */
  flushLog(): void;
}

/** How often readiness is looked at for grpc.health.v1, which must answer from memory. */
const HEALTH_EVERY_MS = 500;
/** Running calls of clients get this long at the end; sessions have been handed over by then. */
const CALLS_GRACE_MS = 500;

/** What was started, last first: what a stop undoes. */
class Undo {
  private readonly steps: { readonly name: string; run(): Promise<void> | void }[] = [];

  add(name: string, run: () => Promise<void> | void): void {
    this.steps.push({ name, run });
  }

  /** Undoes everything, whatever fails on the way. */
  async all(log: Log): Promise<void> {
    for (const step of this.steps.reverse()) {
      try {
        await step.run();
      } catch (error) {
        log.error({ step: step.name, error: String(error) }, "a step of the stop failed");
      }
    }
    this.steps.length = 0;
  }
}

/**
 * Starts a node: folder, log, HTTP, database, replica, roles, gRPC. Rejects with NodeExitError, everything undone. `fatal`
 * is called when a running node cannot go on.
 */
export async function startNode(
  config: NodeConfig,
  fatal: (error: NodeExitError) => void,
): Promise<RunningNode> {
  prepareDataFolder(config.data);
  const log = openLog({
    level: config.logLevel,
    target: { file: join(config.data, "log") },
    base: { node: config.name, cluster: config.cluster.id, pid: process.pid },
    bytesMax: config.options.logBufferBytesMax,
  });
  const undo = new Undo();
  try {
    return await assemble(config, log, undo, fatal);
  } catch (error) {
    log.error({ error: String(error) }, "the start failed");
    await undo.all(log);
    await log.flush();
    throw error;
  }
}

async function assemble(
  config: NodeConfig,
  log: ProcessLog,
  undo: Undo,
  fatal: (error: NodeExitError) => void,
): Promise<RunningNode> {
  const meter = new PromMeter();
  describeMetrics(meter);
  const runtime: Runtime = { clock: realClock, random: realRandom, scheduler: realScheduler, log, meter };
  const loopWatch = new LoopWatch(runtime);
  const loopDelay = new LoopDelay();
  undo.add("measuring the event loop", () => {
    loopWatch.stop();
    loopDelay.stop();
  });
  const health = new HealthChecks();
  let started = false;
  health.add("ready", "started", () => ({
    ok: started,
    text: started ? "all services listen" : "still starting",
  }));
  let metrics = (): Promise<string> => meter.text();
  // First of all that listens: a taken port shows before the database is touched, and livez answers during a long start.
  const http: HttpServer = await startHttpServer(config.listen.http, { health, metrics: () => metrics() });
  undo.add("HTTP", () => http.close());

  const { diskLowBytes, diskReserveBytes } = config.options;
  const space = new DiskGuard(folderSpace(config.data), runtime, {
    fullBytes: diskLowBytes,
    recoveredBytes: diskLowBytes * 2 + 1,
    reserveBytes: diskReserveBytes,
  });
  undo.add("watching the disk's space", () => space.stop());
  // Before the database: on a full disk even opening it needs the room that the reserve gives back.
  await space.start();

  rehearseTakeover();
  const storage = await openNodeStorage(config, runtime, () => space.ranOut());
  undo.add("database", () => storage.close());
  storage.onFailure((error) => fatal(diskFailure(config, error)));
  undo.add("pid file", writePidFile(config.data));
  log.info({ roles: config.roles, options: config.options }, "starting");

  const part = await startReplica(config, runtime, storage, () => space.full, fatal);
  const { replica } = part;
  undo.add("replica", () => replica.stop());
  const events = new EventRing(limits.eventsKeptMax, {
    kinds: NOTABLE_KINDS,
    max: limits.notableEventsKeptMax,
  });
  replica.onEvents((fresh) => events.push(fresh));
  replica.onResync(() => events.clear());
  const leaders = new LeaderLog(replica);

  const grpc = new GrpcServer(config);
  grpc.add({ name: "Peer", definition: services.Peer, handlers: part.peerHandlers });
  const roles = await startRoles(
    { config, runtime, replica, nextIncarnation: () => storage.nextFileNodeIncarnation(), fatal },
    grpc,
  );
  let stopping = false;
  const sources = {
    config,
    replica,
    loopDelay,
    incarnation: () => roles.incarnation(),
    formatVersion: FORMAT_VERSION,
    leaseLeftMs: () => roles.leaseLeftMs(),
    withheld: () => roles.withheld(),
    stopping: () => stopping,
  };
  const notes = noteChanges(sources, events, () => space.full);
  notes.note("node-started", `${config.name} started, version ${version}`);
  undo.add("notes", () => notes.stop());
  const admin = {
    nodeName: config.name,
    replica,
    clock: realClock,
    events,
    leaders,
    transfers: roles.transfers,
    timeoutMs: config.options.proposalTimeoutMs,
    operatorGate: operatorGate(config.name, config.tls?.operators),
    nodeState: () => nodeState(sources),
  };
  grpc.add({ name: "Admin", definition: services.Admin, handlers: adminHandlers(admin) });
  metrics = metricsText({
    meter,
    replica,
    loopDelay,
    name: config.name,
    leaseLeftMs: () => roles.leaseLeftMs(),
    logLinesDropped: () => log.droppedLines(),
  });
  addHealthChecks(health, { ...sources, timeoutMs: config.options.readyTimeoutMs });
  const grpcPort = await grpc.listen();
  undo.add("gRPC", () => grpc.close(CALLS_GRACE_MS));
  undo.add("file node", () => roles.stop());
  const stopServing = reportServing(health, grpc, () => stopping);
  undo.add("readiness", () => stopServing());
  roles.begin();
  started = true;
  loopDelay.restart();
  log.info({ grpcPort, httpPort: http.port }, "listening");

  return {
    log,
    grpcPort,
    httpPort: http.port,
    flushLog: () => void log.flush(),
    async stop(why) {
      log.info({ why }, "stopping");
      notes.note("node-stopping", why);
      stopping = true;
      const timer = setTimeout(() => {
        log.error({ afterMs: config.options.stopTimeoutMs }, "the ordered stop took too long");
        fatal(
          new NodeExitError(
            NODE_EXIT.failed,
            `${config.name} did not stop in order within ${config.options.stopTimeoutMs} ms`,
            "start it again; nothing that was acknowledged is lost",
          ),
        );
      }, config.options.stopTimeoutMs);
      await undo.all(log);
      clearTimeout(timer);
      log.info({}, "stopped");
      await log.flush();
      log.close();
    },
  };
}

/** Lets the node note what it sees by itself: who leads, its lease, its disk, and what `status` would show as an error. */
function noteChanges(sources: StateSources, ring: EventRing, diskFull: () => boolean): NodeNotes {
  const { config, replica } = sources;
  const configured = new Map(config.cluster.members.map(({ raftId, name }) => [String(raftId), name]));
  return new NodeNotes({
    node: config.name,
    replica,
    scheduler: realScheduler,
    ring,
    nameOf(raftId) {
      const name = memberName(replica, raftId);
      return configured.get(name) ?? name;
    },
    leaseLeftMs: () => sources.leaseLeftMs(),
    withheld: () => sources.withheld(),
    diskFull,
    problems: () => otherProblems(sources),
  });
}

function diskFailure(config: NodeConfig, error: Error): NodeExitError {
  return new NodeExitError(
    NODE_EXIT.diskFailed,
    `the disk of data folder ${config.data} failed: ${error.message}`,
    "look at the disk (space, health), then start the node again; it never writes on after a failed sync",
    error,
  );
}

/** Keeps grpc.health.v1 in step with readiness; answers what ends it, which also says "not serving". */
function reportServing(health: HealthChecks, grpc: GrpcServer, stopping: () => boolean): () => void {
  let over = false;
  const look = async (): Promise<void> => {
    while (!over) {
      const { ok } = await health.run("ready");
      if (over) return;
      grpc.setServing(ok && !stopping());
      await new Promise<void>((resolve) => realScheduler.after(HEALTH_EVERY_MS, resolve));
    }
  };
  void look();
  return () => {
    over = true;
    grpc.setServing(false);
  };
}
