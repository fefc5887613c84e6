import { type ChannelCredentials, Client, credentials } from "@grpc/grpc-js";

/** Keys of the probes and of the load behind them: written in turn. */
export const PROBE_KEYS = 64;
export const LOAD_KEYS = 256;

/** Something that stores 256 bytes durably under a key, and can be asked at any of several addresses. */
export interface Store {
  /** Resolves true once the value is stored; false on any error. */
  put(address: string, key: string, timeoutMs: number): Promise<boolean>;
  close(): void;
}

/** One method of a gRPC service, with the bytes made by hand: the probe shall cost as little as possible. */
export interface UnaryMethod {
  readonly path: string;
  readonly request: (key: string) => Uint8Array;
  /** Whether the answer says that it worked. */
  readonly accepts: (response: Uint8Array) => boolean;
}

/** A Store over plain unary calls, one channel an address. */
export class UnaryStore implements Store {
  readonly #clients = new Map<string, Client>();
  readonly #method: UnaryMethod;
  readonly #credentials: ChannelCredentials = credentials.createInsecure();

  constructor(method: UnaryMethod) {
    this.#method = method;
  }

  put(address: string, key: string, timeoutMs: number): Promise<boolean> {
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = new Client(address, this.#credentials, {
        "grpc.use_local_subchannel_pool": 1,
        "grpc.initial_reconnect_backoff_ms": 20,
        "grpc.max_reconnect_backoff_ms": 100,
      });
      this.#clients.set(address, client);
    }
    const { path, request, accepts } = this.#method;
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        path,
        (value: Uint8Array) => Buffer.from(value),
        (bytes: Buffer) => new Uint8Array(bytes),
        request(key),
        { deadline: Date.now() + timeoutMs },
        (error, response) => resolve(error === null && response !== undefined && accepts(response)),
      );
    });
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }
}

/** A writer that keeps `inFlight` puts going, for load behind a measurement. */
export class BackgroundLoad {
  #stopped = false;
  readonly #loops: Promise<void>[];
  done = 0;

  constructor(store: Store, addresses: () => readonly string[], inFlight: number) {
    this.#loops = Array.from({ length: inFlight }, async (_, i) => {
      for (let n = 0; !this.#stopped; n++) {
        const all = addresses();
        const address = all[(i + n) % Math.max(1, all.length)];
        if (address !== undefined && (await store.put(address, `load-${i % LOAD_KEYS}`, 2_000))) this.done++;
        else await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }
}

/**
 * From `harm` to the answer of the first put that was started afterwards: a put every 5 ms, in turn at each address.
 * Answers milliseconds, or Infinity when none was answered within `limitMs`.
 */
export async function timeToRecover(
  store: Store,
  addresses: readonly string[],
  harm: () => void,
  limitMs: number,
): Promise<number> {
  harm();
  const from = performance.now();
  return new Promise((resolve) => {
    let n = 0;
    let settled = false;
    const timer = setInterval(() => {
      const now = performance.now();
      if (now - from > limitMs) finish(Infinity);
      const address = addresses[n % addresses.length] as string;
      const key = `probe-${n++ % PROBE_KEYS}`;
      void store.put(address, key, limitMs).then((stored) => {
        if (stored) finish(performance.now() - from);
      });
    }, 5);
    function finish(ms: number): void {
      if (settled) return;
      settled = true;
      clearInterval(timer);
      resolve(ms);
    }
  });
}

/** Order statistics of a sample. */
export function quantiles(values: readonly number[]): {
  min: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
} {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number): number =>
    sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? NaN;
  return { min: sorted[0] ?? NaN, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: sorted.at(-1) ?? NaN };
}
