import { performance } from "node:perf_hooks";
import { Samples } from "./samples.js";

/** One measured series. */
export interface Measured {
  readonly target: string;
  readonly operation: string;
  readonly inFlight: number;
  readonly count: number;
  readonly errors: number;
  readonly seconds: number;
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** First error seen, for people. */
  readonly error?: string;
}

/** What to run. */
export interface LoadOptions {
  readonly target: string;
  readonly operation: string;
  readonly inFlight: number;
  readonly seconds: number;
}

/**
 * Closed loop: `inFlight` workers, each with one operation under way, for `seconds`. Only operations that ended well
 * inside the time count.
 */
export async function closedLoop(
  options: LoadOptions,
  run: (worker: number) => Promise<unknown>,
): Promise<Measured> {
  const samples = new Samples();
  let errors = 0;
  let error: string | undefined;
  const begin = performance.now();
  const end = begin + options.seconds * 1000;
  const worker = async (index: number) => {
    for (let from = performance.now(); from < end; ) {
      try {
        await run(index);
      } catch (thrown) {
        errors += 1;
        error ??= String(thrown);
        if (errors > 100) return;
      }
      const now = performance.now();
      if (now <= end) samples.add(now - from);
      from = now;
    }
  };
  await Promise.all(Array.from({ length: options.inFlight }, (_, index) => worker(index)));
  return {
    ...options,
    count: samples.count,
    errors,
    opsPerSecond: samples.count / options.seconds,
    p50Ms: samples.percentile(0.5),
    p90Ms: samples.percentile(0.9),
    p99Ms: samples.percentile(0.99),
    maxMs: samples.percentile(1),
    ...(error === undefined ? {} : { error }),
  };
}
