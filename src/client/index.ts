/**
 * `holdfast/client`: files whose handles outlive servers.
 *
 * ```ts
 * const session = await connect({ nodes: ["127.0.0.1:7401"] });
 * const handle = await session.open("demo:/hello.txt", { disposition: "open-if" });
 * await handle.write(0, new TextEncoder().encode("hello"));
 * await handle.close();
 * await session.close();
 * ```
 */
import type { Runtime } from "../runtime/api.js";
import { realClock } from "../runtime/clock.js";
import { liveScheduler } from "../runtime/live-scheduler.js";
import { nullLog, nullMeter } from "../runtime/memory.js";
import { realRandom } from "../runtime/random.js";
import { SessionEngine } from "./engine.js";
import { clientCredentials, GrpcClientNetwork } from "./grpc-network.js";
import { type KeyServer, ResumeKeys } from "./keys.js";
import { type ClientOptions, resolveOptions } from "./options.js";
import { Session } from "./session.js";
import type { ClientNetwork } from "./transport-api.js";
import { WitnessWatcher } from "./witness.js";

export { ErrorCode, HoldfastError } from "../wire/errors.js";
export { v1 } from "../wire/index.js";
export { Access, type AccessOption, type DispositionOption, type KindOption } from "./access.js";
export type { CallOptions } from "./call.js";
export type { ConnectionState } from "./connection-table.js";
export type { ReadContentOptions, WriteContentOptions } from "./content.js";
export type { SessionEvents } from "./events.js";
export { clientCredentials, GrpcClientNetwork } from "./grpc-network.js";
export { Handle, type ByteRange, type LockOptions } from "./handle.js";
export { ResumeKeys, type KeyCallOptions, type KeyServer } from "./keys.js";
export type { ClientOptions, ClientTls } from "./options.js";
export type { Outcome } from "./outcomes.js";
export { parsePath, type FilePath } from "./paths.js";
export { Session, type InDirectory, type OpenOptions } from "./session.js";
export type { ClientNetwork, ClientStream, StreamEvents } from "./transport-api.js";

/**
 * Opens a session with a cluster. Rejects with a HoldfastError that names every node and its reason when none takes it
 * within `deadlineMs`.
 */
export async function connect(options: ClientOptions): Promise<Session> {
  resolveOptions(options);
  const runtime = processRuntime();
  const network = new GrpcClientNetwork(runtime.clock, clientCredentials(options.tls));
  return connectOver(network, runtime, options, () => network.close());
}

/** The same over another network and another world: simulations, tests. `onEnd` runs once the session is over. */
export async function connectOver(
  network: ClientNetwork,
  runtime: Runtime,
  options: ClientOptions,
  onEnd: () => void = () => {},
): Promise<Session> {
  const settings = resolveOptions(options);
  const engine = new SessionEngine(network, runtime, settings);
  try {
    await engine.open();
    if (settings.witness) new WitnessWatcher(network, runtime, engine);
  } catch (error) {
    onEnd();
    throw error;
  }
  return new Session(engine, runtime, onEnd);
}

/** Resume keys for a file server of one's own; see `ResumeKeys`. Connects at the first call. */
export function connectKeys(options: ClientOptions & KeyServer): ResumeKeys {
  const runtime = processRuntime();
  const { server, incarnation, ...client } = options;
  const settings = resolveOptions(client);
  const network = new GrpcClientNetwork(runtime.clock, clientCredentials(options.tls));
  return new ResumeKeys(network, runtime, settings, { server, incarnation }, () => network.close());
}

/** Clock, timers and randomness of this process; timers keep it alive while calls wait. */
export function processRuntime(): Runtime {
  return {
    clock: realClock,
    random: realRandom,
    scheduler: liveScheduler,
    log: nullLog,
    meter: nullMeter,
  };
}
