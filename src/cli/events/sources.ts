import type { ServiceError } from "@grpc/grpc-js";
import type { HoldfastError } from "../../wire/errors.js";
import { fromServiceError } from "../../wire/grpc-errors.js";
import type { v1 } from "../../wire/index.js";
import { AdminEndpoint, plain } from "../admin-client.js";
import { num } from "../format.js";
import { knownNodes } from "../known-nodes.js";
import { type EventRow, type Kept, toRow } from "./merge.js";

/** What one node told of its events, or why it did not. */
export type Told = { readonly address: string; readonly name: string } & (
  | { readonly kept: Kept & { readonly compacted: boolean; readonly clusterTimeMs: number } }
  | { readonly error: HoldfastError }
);

/** A node that has said nothing for this long is told as one that cannot be reached. */
const NODE_TIMEOUT_MS = 3_000;

/** Asks every endpoint, and every further node that the cluster knows, for what it has kept. */
export async function askAll(
  endpoints: readonly string[],
  request: v1.IListEventsRequest,
  timeoutMs: number,
): Promise<Told[]> {
  const patienceMs = Math.min(timeoutMs, NODE_TIMEOUT_MS);
  const asked = await Promise.all(endpoints.map((address) => keptBy(address, "", request, patienceMs)));
  const reachable = asked.filter((each) => "kept" in each);
  const known = await knownNodes(
    reachable.map(({ address }) => address),
    patienceMs,
  );
  const names = new Set(reachable.map(({ name }) => name));
  const nameOf = new Map(known.map(({ name, grpcAddress }) => [grpcAddress, name]));
  const further = known.filter(
    ({ name, grpcAddress }) => !names.has(name) && !endpoints.includes(grpcAddress),
  );
  const more = await Promise.all(
    further.map(({ name, grpcAddress }) => keptBy(grpcAddress, name, request, patienceMs)),
  );
  return [...asked, ...more].map((told) => ({
    ...told,
    name: told.name || (nameOf.get(told.address) ?? ""),
  }));
}

function keptBy(
  address: string,
  name: string,
  request: v1.IListEventsRequest,
  timeoutMs: number,
): Promise<Told> {
  const rows: EventRow[] = [];
  let last: v1.IEventsChunk = {};
  let compacted = false;
  return new Promise((resolve) => {
    const reader = readEvents(address, { ...request, follow: false }, timeoutMs, {
      chunk(chunk) {
        last = chunk;
        compacted ||= chunk.compacted ?? false;
        rows.push(...(chunk.events ?? []).map(toRow));
      },
      ended(error) {
        reader.stop();
        if (error !== null) return resolve({ address, name, error });
        const kept = { rows, resume: num(last.resumeRevision), compacted };
        resolve({
          address,
          name: last.node ?? name,
          kept: { ...kept, clusterTimeMs: num(last.clusterTimeMs) },
        });
      },
    });
  });
}

/** Reads a node's events; `ended` is called once, with null at an orderly end, and never after `stop`. */
export function readEvents(
  address: string,
  request: v1.IListEventsRequest,
  timeoutMs: number,
  to: { chunk(chunk: v1.IEventsChunk): void; ended(error: HoldfastError | null): void },
): { stop(): void } {
  const endpoint = new AdminEndpoint(address);
  const stream = endpoint.events(request, timeoutMs);
  let over = false;
  const end = (error: HoldfastError | null) => {
    if (over) return;
    over = true;
    endpoint.close();
    to.ended(error);
  };
  stream.on("data", (chunk: v1.IEventsChunk) => to.chunk(chunk));
  stream.on("end", () => end(null));
  stream.on("error", (error: ServiceError) => end(plain(fromServiceError(error))));
  return {
    stop() {
      over = true;
      stream.cancel();
      endpoint.close();
    },
  };
}
