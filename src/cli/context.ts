import type { ClientTls } from "../client/index.js";

import { readTls, type TlsFlags } from "./tls.js";
import { usageError } from "./usage-error.js";

export { usageError } from "./usage-error.js";

/** How results are shown. */
export type OutputFormat = "table" | "wide" | "json" | "yaml";

/** What every command needs: where the cluster is, how to print, how long to wait. */
export interface CliContext {
  readonly endpoints: readonly string[];
  readonly output: OutputFormat;
  readonly timeoutMs: number;
  /** Of one file operation: long enough for several failovers unless --timeout says otherwise. */
  readonly fileTimeoutMs: number;
  readonly stale: boolean;
  /** Certificates of this client; undefined: the cluster listens without TLS. */
  readonly tls: ClientTls | undefined;
  readonly colour: boolean;
  /** Data. */
  out(text: string): void;
  /** Talk. */
  say(text: string): void;
}

/** The options that every command takes, as commander reads them. */
export interface GlobalOptions extends TlsFlags {
  readonly endpoints?: string;
  readonly output?: string;
  readonly timeout?: string;
  readonly stale?: boolean;
}

/** Endpoints of the local cluster of `make up`. */
export const DEFAULT_ENDPOINTS = "127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403";

const FORMATS: readonly string[] = ["table", "wide", "json", "yaml"] satisfies OutputFormat[];

/** Checks the global options; flags win over the environment. */
export function makeContext(options: GlobalOptions, env: NodeJS.ProcessEnv = process.env): CliContext {
  const output = options.output ?? "table";
  if (!FORMATS.includes(output)) {
    throw usageError(`-o ${output}: there is no such format`, `use one of ${FORMATS.join(", ")}`);
  }
  return {
    endpoints: parseEndpoints(options.endpoints ?? env["HOLDFAST_ENDPOINTS"] ?? DEFAULT_ENDPOINTS),
    output: output as OutputFormat,
    timeoutMs: parseDuration(options.timeout ?? "10s", "--timeout"),
    fileTimeoutMs: parseDuration(options.timeout ?? "120s", "--timeout"),
    stale: options.stale ?? false,
    tls: readTls(options, env),
    colour: process.stdout.isTTY === true && env["NO_COLOR"] === undefined && output !== "json",
    out: (text) => void process.stdout.write(text.endsWith("\n") ? text : `${text}\n`),
    say: (text) => void process.stderr.write(text.endsWith("\n") ? text : `${text}\n`),
  };
}

function parseEndpoints(text: string): string[] {
  const endpoints = text
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
  for (const endpoint of endpoints) {
    const port = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(endpoint)?.[1];
    if (port === undefined || Number(port) === 0 || Number(port) > 65_535) {
      throw usageError(
        `endpoint ${JSON.stringify(endpoint)} is not host:port`,
        "write --endpoints host:port,host:port",
      );
    }
  }
  if (endpoints.length === 0)
    throw usageError("the list of endpoints is empty", "write --endpoints host:port,host:port");
  return [...new Set(endpoints)];
}

/** Milliseconds of "250ms", "10s", "2m", "1h"; a bare number counts as seconds. */
export function parseDuration(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? "s"];
  if (match === null || unit === undefined || Number(match[1]) <= 0) {
    throw usageError(
      `${flag} ${text} is no duration`,
      `write for example ${flag} 250ms, ${flag} 10s or ${flag} 2m`,
    );
  }
  return Number(match[1]) * unit;
}
