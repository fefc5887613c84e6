/**
 * A small file server that is not part of Holdfast: it keeps counters in files and loses nothing when it dies. It uses
 * the public Coordinator API alone, by its .proto files, as a server in any other language would.
 *
 *   node kv-file-server.js NAME INCARNATION PORT FOLDER COORDINATOR,COORDINATOR,...
 *   POST /add?client=c&request=7&name=hits&by=5   ->   {"value":5}
 *
 * What makes it safe: one resume key a client; intent, effect, stored answer, outcome, in this order; no write without lease.
 */
import { open, readFile, rename } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { credentials, loadPackageDefinition, type Client, type GrpcObject } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [node = "", incarnation = "", port = "", folder = "", list = ""] = process.argv.slice(2);
const me = { node, nodeIncarnation: Number(incarnation) };
const coordinators = list.split(",");

type Effect = { id: number; description: Buffer };
type KeyRecord = { key: string; epoch: number; state: Buffer };
type Result = { key?: KeyRecord; effect?: { effect: Effect }; effects?: Effect[] };
type Done = (error: Error | null, result: Result) => void;
type Call = (request: object, options: { deadline: number }, done: Done) => void;
type Answer = { sequence: number; granted: boolean; error: { code: number } | null };
interface Beats {
  write(beat: object): void;
  on(event: string, run: (answer: Answer) => void): void;
}

const definition = loadSync("holdfast/v1/coordinator.proto", { includeDirs: ["proto"], longs: Number });
const { holdfast } = loadPackageDefinition(definition) as unknown as { holdfast: { v1: GrpcObject } };
const Coordinator = holdfast.v1["Coordinator"] as unknown as new (address: string, with_: object) => Client;
const clients = coordinators.map((address) => new Coordinator(address, credentials.createInsecure()));

/** One call, at whichever coordinator answers; a refusal has its code, anything else is asked again elsewhere. */
async function call(method: string, request: object): Promise<Result> {
  for (let attempt = 0; ; attempt++) {
    const client = clients[attempt % clients.length] as unknown as Record<string, Call>;
    try {
      return await new Promise<Result>((resolve, reject) =>
        client[method]!(request, { deadline: Date.now() + 2_000 }, (e, r) => (e ? reject(e) : resolve(r))),
      );
    } catch (error) {
      const [, code = ""] = /^\d+ [A-Z_]+: ([A-Z_]+): /.exec((error as Error).message) ?? [];
      if ((code !== "" && code !== "NO_QUORUM" && code !== "NOT_READY") || attempt > 30)
        throw Object.assign(error as Error, { code });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The node lease: from the send time of the latest heartbeat that a majority granted, on the monotonic clock. */
const LEASE_MS = 1_000;
const MARGIN_MS = 100;
/** ErrorCode.LEASE_LOST of common.proto: this incarnation was declared down, or will be. */
const LEASE_LOST = 24;
/** "Try again later" of sysexits.h. */
const EXIT_LEASE_LOST = 75;
let leaseUntil = 0;
const sentAt = new Map<number, { at: number; grants: number }>();
const streams: (Beats | undefined)[] = [];
function openBeats(client: Client, i: number): void {
  const beats = (client as unknown as { heartbeat(): Beats }).heartbeat();
  beats.on("error", () => {
    streams[i] = undefined;
    setTimeout(() => openBeats(client, i), 200);
  });
  beats.on("data", ({ sequence, granted, error }) => {
    const sent = sentAt.get(sequence);
    // Refused for good, and no lease is left: this incarnation will never serve again. Whoever starts it starts the next.
    if (error?.code === LEASE_LOST && performance.now() >= leaseUntil) process.exit(EXIT_LEASE_LOST);
    if (!granted || sent === undefined) return;
    if (++sent.grants > coordinators.length / 2)
      leaseUntil = Math.max(leaseUntil, sent.at + LEASE_MS - MARGIN_MS);
  });
  streams[i] = beats;
}
let sequence = 0;
function sendBeats(): void {
  sentAt.set(++sequence, { at: performance.now(), grants: 0 });
  sentAt.delete(sequence - 20);
  for (const beats of streams)
    beats?.write({ node, incarnation: me.nodeIncarnation, sequence, leaseMs: LEASE_MS });
}
function mustHoldLease(): void {
  if (performance.now() >= leaseUntil)
    throw Object.assign(new Error("no node lease"), { code: "LEASE_LOST" });
}

/** Takes a client's key if nobody alive has it, and finishes first what a dead owner had begun under it. */
async function own(key: string): Promise<KeyRecord> {
  const { key: record } = await call("claimKey", { key, ...me, state: Buffer.from("{}") });
  const { effects } = await call("query", { key });
  for (const effect of effects ?? []) await perform(record!, effect);
  return (await call("claimKey", { key, ...me })).key!;
}

/** The effect itself, fit to be done twice: the intent says what the file shall hold, not how to change it. */
async function perform(record: KeyRecord, effect: Effect): Promise<number> {
  const plan = JSON.parse(effect.description.toString()) as { request: string; file: string; value: number };
  mustHoldLease();
  const file = await open(join(folder, `${plan.file}.new`), "w");
  await file.writeFile(String(plan.value));
  await file.sync();
  await file.close();
  mustHoldLease();
  await rename(join(folder, `${plan.file}.new`), join(folder, plan.file));
  const state = Buffer.from(JSON.stringify({ request: plan.request, value: plan.value }));
  await call("storeKey", { key: record.key, ...me, epoch: record.epoch, state });
  await call("finishEffect", { ...me, effectId: effect.id });
  mustHoldLease();
  return plan.value;
}

async function add(client: string, request: string, name: string, by: number): Promise<number> {
  const key = `kv/${client}`;
  const record = await own(key);
  const last = JSON.parse(record.state.toString()) as { request?: string; value: number };
  if (last.request === request) return last.value;
  const file = `${client}.${name}`;
  const before = Number(await readFile(join(folder, file), "utf8").catch(() => "0"));
  const description = Buffer.from(JSON.stringify({ request, file, value: before + by }));
  mustHoldLease();
  const fence = { ...me, epoch: record.epoch };
  const begun = await call("beginEffect", { fence, effect: { kind: "EFFECT_FOREIGN", key, description } });
  return perform(record, begun.effect!.effect);
}

await call("registerNode", {
  node: { name: node, incarnation: me.nodeIncarnation, foreign: true, grpcAddress: `127.0.0.1:${port}` },
});
clients.forEach(openBeats);
setInterval(sendBeats, LEASE_MS / 5);
while (performance.now() >= leaseUntil) await new Promise((resolve) => setTimeout(resolve, 20));
let turn = Promise.resolve<unknown>(null);
createServer((request, response) => {
  const query = new URL(request.url ?? "", "http://localhost").searchParams;
  const word = (name: string) => (/^[\w-]{1,64}$/.exec(query.get(name) ?? "") ?? [""])[0];
  // One at a time: the order of a client's calls is the order of its file.
  turn = turn
    .then(() => add(word("client"), word("request"), word("name"), Number(query.get("by"))))
    .then(
      (value) => response.end(JSON.stringify({ value })),
      (error: { code?: string; message: string }) =>
        response.writeHead(503).end(JSON.stringify({ code: error.code ?? "FAILED", message: error.message })),
    );
}).listen(Number(port), "127.0.0.1", () => console.log("ready"));
