import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Samples } from "./samples.js";

/** What h2load saw. It knows nothing of gRPC: whether the calls did their work must be checked by other means. */
export interface H2LoadResult {
  readonly opsPerSecond: number;
  readonly requests: number;
  readonly failed: number;
  /** How long each of them took. */
  readonly times: Samples;
}

/** True if a program of this name can be run. */
export function isInstalled(program: string, flag = "--version"): boolean {
  return spawnSync(program, [flag], { stdio: "ignore" }).status === 0;
}

/** The same unary gRPC request over and over, `clients` connections with `streams` at once on each. */
export async function h2load(options: {
  readonly address: string;
  readonly path: string;
  readonly message: Uint8Array;
  readonly requests: number;
  readonly clients: number;
  readonly streams: number;
}): Promise<H2LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), "h2load-"));
  try {
    const body = join(folder, "body");
    const log = join(folder, "log");
    const frame = Buffer.alloc(5 + options.message.length);
    frame.writeUInt32BE(options.message.length, 1);
    frame.set(options.message, 5);
    writeFileSync(body, frame);
    const text = await run([
      ...["-n", String(options.requests), "-c", String(options.clients), "-m", String(options.streams)],
      ...["--log-file", log, "-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers"],
      `http://${options.address}${options.path}`,
    ]);
    return { ...parse(text), times: durations(readFileSync(log, "utf8")) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function run(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("h2load", args, { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (part: Buffer) => (text += part.toString()));
    child.stderr.on("data", (part: Buffer) => (text += part.toString()));
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0 ? resolve(text) : reject(new Error(`h2load ended with ${code}: ${text}`)),
    );
  });
}

function parse(text: string): Omit<H2LoadResult, "times"> {
  const rate = /finished in .*?, ([\d.]+) req\/s/.exec(text);
  const counts = /requests: (\d+) total.*?(\d+) succeeded, (\d+) failed/.exec(text);
  if (rate === null || counts === null) throw new Error(`h2load said something unknown:\n${text}`);
  return { opsPerSecond: Number(rate[1]), requests: Number(counts[2]), failed: Number(counts[3]) };
}

/** Of its log of requests: start, status, duration in µs, a line each. */
function durations(log: string): Samples {
  const times = new Samples();
  for (const line of log.split("\n")) {
    const us = Number(line.split("\t")[2] ?? Number.NaN);
    if (!Number.isNaN(us)) times.add(us / 1_000);
  }
  return times;
}
