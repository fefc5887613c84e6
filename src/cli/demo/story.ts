import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, ErrorCode, HoldfastError, type Handle, type Session } from "../../client/index.js";
import { askAny, askEach } from "../admin-client.js";
import { duration } from "../format.js";
import type { Claims } from "./claims.js";
import type { DemoCluster } from "./cluster.js";

const FILE = "demo:/ledger.txt";
const CHUNK_BYTES = 256 * 1024;
const LOCK = { offset: 0, length: 4096 };
/** Far above what a failover should take: a story that hangs has failed. */
const WITHIN_MS = 30_000;

/** One failover as the client lived it. */
export interface Pause {
  readonly killed: string;
  readonly role: string;
  readonly pauseMs: number;
  readonly owner: string;
  readonly epoch: number;
}

/** The client of the story and everything that it believes about its file. */
interface Hero {
  readonly session: Session;
  readonly handle: Handle;
  readonly handleId: string;
  /** What must be in the file: kept beside it, never read from it. */
  readonly expected: Buffer[];
}

/** Plays the story; every claim in it is checked where it is made. Answers the failovers as the client lived them. */
export async function playStory(cluster: DemoCluster, claims: Claims): Promise<Pause[]> {
  const session = await connect({ nodes: cluster.endpoints, clientName: "alice", deadlineMs: WITHIN_MS });
  try {
    const handle = await session.open(FILE, { disposition: "create" });
    const hero: Hero = { session, handle, handleId: handle.id, expected: [] };
    claims.tell(
      `alice opens ${FILE} at ${session.owner}: handle ${handle.id.slice(0, 12)}, epoch ${session.epoch}`,
    );
    await handle.lock(LOCK);
    claims.tell(`alice locks bytes 0 to ${LOCK.length - 1} and writes ${CHUNK_BYTES / 1024} KiB`);
    await writeMore(hero);

    const first = await survive(cluster, claims, hero, session.owner, "owner of the file");
    claims.tell(`${first.killed} is started again`);
    await cluster.startAgain(first.killed);
    const second = await survive(cluster, claims, hero, await leader(cluster), "Raft leader");
    claims.tell(`${second.killed} is started again`);
    await cluster.startAgain(second.killed);

    await handle.unlock(LOCK);
    await handle.close();
    await checkEveryByte(cluster, claims, hero);
    await checkNothingLeft(cluster, claims, session);
    return [first, second];
  } finally {
    await session.close({ deadlineMs: 2_000 });
  }
}

/** Kills a node, lets a rival try its luck, and goes on with the same handle. */
async function survive(
  cluster: DemoCluster,
  claims: Claims,
  hero: Hero,
  victim: string,
  role: string,
): Promise<Pause> {
  const { session, handle } = hero;
  const owner = session.owner;
  const epoch = session.epoch;
  claims.tell(
    `kill -9 ${victim}, the ${role}${victim === owner && role !== "owner of the file" ? " and owner of the file" : ""}`,
  );
  await cluster.kill(victim);
  const began = performance.now();
  await writeMore(hero);
  const pauseMs = performance.now() - began;
  claims.check(
    "alice's next write on the same handle is done, without an error",
    true,
    `after ${duration(pauseMs)}`,
  );
  if (victim === owner) {
    claims.check(
      "the session has another owner and a higher epoch",
      session.owner !== owner && session.epoch > epoch,
      `${owner}/${epoch} -> ${session.owner}/${session.epoch}`,
    );
  } else {
    claims.check("the file's owner stays", session.owner === owner && session.epoch === epoch, session.owner);
  }
  claims.check(
    "the handle is the same",
    handle.isOpen && handle.id === hero.handleId,
    handle.id.slice(0, 12),
  );
  await rivalIsRefused(cluster, claims, handle);
  const content = await handle.read(0, totalBytes(hero));
  claims.check(
    "alice reads back every byte so far",
    sha256([content]) === sha256(hero.expected),
    `${content.length} bytes`,
  );
  return { killed: victim, role, pauseMs, owner: session.owner, epoch: session.epoch };
}

/** The lock must have survived: somebody else gets neither the range nor a write into it. */
async function rivalIsRefused(cluster: DemoCluster, claims: Claims, handle: Handle): Promise<void> {
  const rival = await connect({ nodes: cluster.endpoints, clientName: "mallory", deadlineMs: WITHIN_MS });
  try {
    const other = await rival.open(FILE);
    claims.check(
      "a rival's attempt to lock the same bytes is refused",
      !(await other.tryLock(LOCK)) && handle.isOpen,
      "LOCK_NOT_GRANTED",
    );
    const code = await other.write(0, Buffer.from("stolen")).then(
      () => "it was written",
      (error: unknown) => HoldfastError.from(error).codeName,
    );
    claims.check(
      "a rival's write into them is refused",
      code === ErrorCode[ErrorCode.FILE_LOCK_CONFLICT],
      code,
    );
    await other.close();
  } finally {
    await rival.close({ deadlineMs: 5_000 });
  }
}

async function writeMore(hero: Hero): Promise<void> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const line = `entry ${hero.expected.length} of the ledger\n`;
  for (let at = 0; at < chunk.length; at += line.length) chunk.write(line, at);
  await hero.handle.write(totalBytes(hero), chunk);
  hero.expected.push(chunk);
}

function totalBytes(hero: Hero): number {
  return hero.expected.length * CHUNK_BYTES;
}

/** Against the model, twice: through a client that comes fresh, and past all of it, in the share's directory. */
async function checkEveryByte(cluster: DemoCluster, claims: Claims, hero: Hero): Promise<void> {
  const wanted = sha256(hero.expected);
  const fresh = await connect({ nodes: cluster.endpoints, clientName: "auditor", deadlineMs: WITHIN_MS });
  try {
    const pieces: Uint8Array[] = [];
    for await (const piece of fresh.readFile(FILE)) pieces.push(piece);
    claims.check(
      "another client reads every byte",
      sha256(pieces) === wanted,
      `sha256 ${wanted.slice(0, 16)}...`,
    );
  } finally {
    await fresh.close({ deadlineMs: 5_000 });
  }
  const onDisk = readFileSync(join(cluster.share, "ledger.txt"));
  claims.check(
    "the file in the share's directory has exactly those bytes",
    sha256([onDisk]) === wanted,
    `${onDisk.length} bytes`,
  );
}

async function checkNothingLeft(cluster: DemoCluster, claims: Claims, session: Session): Promise<void> {
  const handles = await askAny(cluster.endpoints, "ListHandles", { filterSession: session.id }, WITHIN_MS);
  claims.check("after the close no handle and no lock is left", (handles.handles ?? []).length === 0);
}

async function leader(cluster: DemoCluster): Promise<string> {
  const deadline = Date.now() + WITHIN_MS;
  while (Date.now() < deadline) {
    const answers = await askEach(cluster.endpoints, "GetStatus", {}, 2_000);
    for (const answer of answers)
      if ("value" in answer && answer.value.role === "leader") return answer.value.name ?? "";
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new HoldfastError(ErrorCode.NO_QUORUM, `no leader within ${WITHIN_MS / 1_000} s`, {
    next: "holdfast status",
  });
}

function sha256(pieces: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}
