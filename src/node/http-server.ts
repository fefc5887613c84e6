import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";
import { parseAddress } from "./address.js";
import type { HealthChecks } from "./health.js";

/** What the HTTP side serves. */
export interface HttpSources {
  readonly health: HealthChecks;
  metrics(): Promise<string>;
}

/**
 * /metrics, /livez and /readyz. Livez asks "restart me?" and needs no quorum; readyz asks "send me traffic?" and does
 * a real linearizable read (field-notes 3.8.54). Both name their checks with ?verbose and leave some out with ?exclude=.
 */
export async function startHttpServer(address: string, sources: HttpSources): Promise<HttpServer> {
  const parsed = parseAddress(address);
  if (parsed === null)
    throw new NodeExitError(NODE_EXIT.usage, `listen.http is ${address}`, "write host:port");
  const server = createServer((request, response) => {
    answer(request, response, sources).catch(() => response.destroy());
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  server.maxHeadersCount = 64;
  await listen(server, parsed.host, parsed.port);
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : parsed.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A running HTTP server. */
export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(addressError("HTTP", `${host}:${port}`, error)),
    );
    server.listen(port, host, resolve);
  });
}

/** The one line for an address that cannot be listened on. */
export function addressError(what: string, address: string, error: NodeJS.ErrnoException): NodeExitError {
  const text = `${error.code ?? ""} ${error.message}`;
  const why = text.includes("EADDRINUSE")
    ? "the port is taken"
    : text.includes("EADDRNOTAVAIL")
      ? "this host does not have that address"
      : text.includes("EACCES")
        ? "this user may not listen there"
        : error.message;
  return new NodeExitError(
    NODE_EXIT.addressInUse,
    `cannot listen for ${what} on ${address}: ${why}`,
    "stop what uses it, or choose other ports (--base-port, or listen in the configuration)",
    error,
  );
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  sources: HttpSources,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://node");
  if (request.method !== "GET" && request.method !== "HEAD") {
    return reply(response, 405, "only GET and HEAD\n");
  }
  switch (url.pathname) {
    case "/metrics":
      response.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8");
      return reply(response, 200, await sources.metrics());
    case "/livez":
    case "/readyz": {
      const kind = url.pathname === "/livez" ? "live" : "ready";
      const report = await sources.health.run(kind, new Set(url.searchParams.getAll("exclude")));
      const lines = report.checks.map((each) => `[${each.ok ? "+" : "-"}]${each.name} ${each.text}\n`);
      const verdict = `${url.pathname.slice(1)} check ${report.ok ? "passed" : "failed"}\n`;
      const verbose = url.searchParams.has("verbose") || !report.ok;
      return reply(response, report.ok ? 200 : 503, verbose ? lines.join("") + verdict : "ok\n");
    }
    default:
      return reply(response, 404, "there are /metrics, /livez and /readyz\n");
  }
}

function reply(response: ServerResponse, status: number, body: string): void {
  if (!response.hasHeader("content-type")) response.setHeader("content-type", "text/plain; charset=utf-8");
  response.statusCode = status;
  response.end(body);
}
