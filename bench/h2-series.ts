import { h2load } from "./h2load.js";
import { counted, perOp, type Row, type Servers } from "./cpu-cost.js";

/** Its calls go out on at most so many connections; those in flight are shared out among them. */
const CONNECTIONS_MAX = 4;
const REQUESTS = 20_000;
/** At one in flight the same seconds hold far fewer. */
const REQUESTS_ALONE = 4_000;
/** For each that is measured. The compiler takes seconds, for every target alike. */
const WARM_REQUESTS = 3;

/** One call over and over from h2load, once for each level in flight. `stored`: counts what was carried out, to compare. */
export async function h2Series(
  servers: Servers,
  series: { readonly target: string; readonly operation: string },
  call: { readonly address: string; readonly path: string; readonly message: Uint8Array },
  levels: readonly number[],
  stored?: () => Promise<number>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const inFlight of levels) {
    const clients = Math.min(CONNECTIONS_MAX, inFlight);
    const streams = Math.ceil(inFlight / clients);
    const load = (requests: number) => h2load({ ...call, requests, clients, streams });
    const requests = inFlight === 1 ? REQUESTS_ALONE : REQUESTS;
    await load(requests * WARM_REQUESTS);
    const before = await stored?.();
    const { result, cpu } = await counted(servers, () => load(requests));
    const missing = before === undefined || stored === undefined ? 0 : requests - ((await stored()) - before);
    rows.push({
      ...series,
      inFlight,
      count: result.requests,
      errors: result.failed + Math.max(0, missing),
      seconds: result.requests / result.opsPerSecond,
      opsPerSecond: result.opsPerSecond,
      p50Ms: result.times.percentile(0.5),
      p90Ms: result.times.percentile(0.9),
      p99Ms: result.times.percentile(0.99),
      maxMs: result.times.percentile(1),
      ...perOp(cpu, result.requests),
      ...(missing > 0 ? { error: `${missing} calls were not carried out` } : {}),
    });
  }
  return rows;
}
