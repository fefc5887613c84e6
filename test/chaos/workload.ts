/**
 * Clients that do real work through the library and write down what they saw. Runs as a process of its own, in the
 * clients' host; one JSON line per operation on stdout; the word "finish" on stdin ends it in order.
 */
import { createInterface } from "node:readline";
import { connect, ErrorCode, type Handle, HoldfastError, type Session } from "../../src/client/index.js";
import { Prng } from "../../src/runtime/prng.js";
import { journalRecord, nowUs, type OpRecord, type WorkloadLine, type WorkloadOptions } from "./records.js";
import { paintedBlock, stampOf, stampsOf, WALL_BLOCK_BYTES, WALL_BLOCKS } from "./walls.js";

const options = JSON.parse(process.argv[2] ?? "{}") as WorkloadOptions;
let finishing = false;

function say(line: WorkloadLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

type Op = Omit<OpRecord, "callUs" | "returnUs" | "outcome" | "code" | "client" | "from" | "owner">;
type Result = Pick<OpRecord, "value" | "found">;

/** One client: a session and the files it works on. */
class Actor {
  readonly #client: number;
  readonly #session: Session;
  readonly #random: Prng;
  readonly #counters: Handle[] = [];
  #journal!: Handle;
  #ownWall!: Handle;
  #sharedWall!: Handle;
  #painted = 0;
  #appended = 0;
  #published = 0;

  constructor(client: number, session: Session) {
    this.#client = client;
    this.#session = session;
    this.#random = Prng.fromSeed(options.seed * 1000 + client);
    for (const name of ["reconnected", "moved", "lost"] as const)
      session.on(name as never, (event: unknown) => {
        say({ type: "event", client, name, atUs: nowUs(), text: JSON.stringify(event) ?? "" });
      });
  }

  async open(): Promise<void> {
    for (let i = 0; i < options.counters; i++) {
      const file = `${options.share}:/counter-${i}`;
      this.#counters.push(await this.#session.open(file, { disposition: "open-if", access: "read-write" }));
    }
    const wall = (name: string): Promise<Handle> =>
      this.#session.open(`${options.share}:/${name}`, { disposition: "open-if", access: "read-write" });
    this.#ownWall = await wall(`own-wall-${this.#client}`);
    this.#sharedWall = await wall(SHARED_WALL);
    const journal = `${options.share}:/journal-${this.#client}`;
    this.#journal = await this.#session.open(journal, { disposition: "open-if", access: "all" });
  }

  async run(): Promise<void> {
    while (!finishing) {
      const dice = this.#random.below(16);
      if (dice < 5) await this.#incrementUnderLock(this.#random.below(options.counters));
      else if (dice < 8) await this.#paint(this.#ownWall, `own-wall-${this.#client}`);
      else if (dice < 9) await this.#paintUnderLock();
      else if (dice < 12) await this.#append();
      else if (dice < 13) await this.#claim(this.#random.below(200));
      else if (dice < 14) await this.#publish();
      else await this.#openAlone(this.#random.below(options.counters));
    }
    for (const handle of [...this.#counters, this.#journal, this.#ownWall, this.#sharedWall])
      await handle.close();
    await this.#session.close();
  }

  async #incrementUnderLock(i: number): Promise<void> {
    const handle = this.#counters[i] as Handle;
    const target = `counter-${i}`;
    await this.#underLock(handle, target, 16, async () => {
      await this.#op({ op: "increment", target }, async () => {
        const before = await handle.read(0, 16);
        const value = before.length < 16 ? 0 : Number(Buffer.from(before).readBigUInt64LE(0));
        const after = Buffer.alloc(16);
        after.writeBigUInt64LE(BigInt(value + 1), 0);
        after.writeBigUInt64LE(BigInt(this.#client), 8);
        await handle.write(0, after);
        return { value };
      });
    });
  }

  /** Takes the lock if nobody has it, works, and gives it back. */
  async #underLock(handle: Handle, target: string, length: number, work: () => Promise<void>): Promise<void> {
    const range = { offset: 0, length };
    const got = await this.#op({ op: "lock", target }, async () =>
      (await handle.tryLock(range)) ? {} : null,
    );
    if (got === null) return;
    await work();
    await this.#op({ op: "unlock", target }, async () => {
      await handle.unlock(range);
      return {};
    });
  }

  async #paintUnderLock(): Promise<void> {
    await this.#underLock(this.#sharedWall, SHARED_WALL, WALL_BYTES, () =>
      this.#paint(this.#sharedWall, SHARED_WALL),
    );
  }

  /** Looks at every block and writes every block, all at once: blocks of two owners side by side would stay to be seen. */
  async #paint(wall: Handle, target: string): Promise<void> {
    const value = stampOf(this.#client, this.#painted++);
    const block = paintedBlock(value);
    await this.#op({ op: "paint", target, value }, async () => {
      const found = stampsOf(await wall.read(0, WALL_BYTES));
      const writes = Array.from({ length: WALL_BLOCKS }, (_, i) => wall.write(i * WALL_BLOCK_BYTES, block));
      for (const write of await Promise.allSettled(writes))
        if (write.status === "rejected") throw write.reason;
      return { found };
    });
  }

  async #append(): Promise<void> {
    const sequence = this.#appended++;
    await this.#op({ op: "append", target: `journal-${this.#client}`, value: sequence }, async () => {
      await this.#journal.append(Buffer.from(journalRecord(this.#client, sequence)));
      return {};
    });
  }

  /** Opens a file so that nobody else may have it open, and closes it again: share modes, as a lock. */
  async #openAlone(n: number): Promise<void> {
    const target = `alone-${n}`;
    const file = `${options.share}:/${target}`;
    const alone = { read: false, write: false, delete: false };
    let handle: Handle | null = null;
    const got = await this.#op({ op: "open", target }, async () => {
      handle = await this.#session.open(file, {
        disposition: "open-if",
        access: "read-write",
        shareMode: alone,
      });
      return {};
    });
    if (got === null || handle === null) return;
    await this.#op({ op: "close", target }, async () => {
      await (handle as Handle).close();
      return {};
    });
  }

  /** Several clients try to create the same name: one may succeed. */
  async #claim(n: number): Promise<void> {
    const target = `claim-${n}`;
    await this.#op({ op: "claim", target }, async () => {
      const handle = await this.#session.open(`${options.share}:/${target}`, { disposition: "create" });
      await handle.write(0, Buffer.from(String(this.#client)));
      await handle.close();
      return {};
    });
  }

  /** A file is made under one name and published under another. */
  async #publish(): Promise<void> {
    const n = this.#published++;
    const target = `published-${this.#client}-${n}`;
    await this.#op({ op: "publish", target, value: n }, async () => {
      const draft = `${options.share}:/draft-${this.#client}-${n}`;
      const handle = await this.#session.open(draft, { disposition: "create", access: "all" });
      await handle.write(0, Buffer.from(target));
      await handle.rename(`${options.share}:/${target}`);
      await handle.close();
      return {};
    });
  }

  /** Runs and records one operation; null when it was certainly refused. */
  async #op(op: Op, run: () => Promise<Result | null>): Promise<Result | null> {
    const callUs = nowUs();
    const from = this.#session.owner;
    const note = (rest: Partial<OpRecord> & Pick<OpRecord, "outcome">): void => {
      const owner = this.#session.owner;
      say({
        type: "op",
        record: { ...op, ...rest, client: this.#client, callUs, returnUs: nowUs(), from, owner },
      });
    };
    try {
      const result = await run();
      note(
        result === null ? { outcome: "refused", code: "LOCK_NOT_GRANTED" } : { outcome: "done", ...result },
      );
      return result;
    } catch (error) {
      const failure = HoldfastError.from(error);
      const certain = CERTAIN.has(failure.code);
      note({ outcome: certain ? "refused" : "unknown", code: failure.codeName });
      if (
        !certain &&
        failure.code !== ErrorCode.OUTCOME_UNKNOWN &&
        failure.code !== ErrorCode.DEADLINE_EXCEEDED
      )
        throw failure;
      return null;
    }
  }
}

/** What all clients paint, one at a time. */
const SHARED_WALL = "wall";
const WALL_BYTES = WALL_BLOCKS * WALL_BLOCK_BYTES;

/** Answers after which nothing has happened. */
const CERTAIN = new Set<ErrorCode>([
  ErrorCode.OBJECT_NAME_COLLISION,
  ErrorCode.LOCK_NOT_GRANTED,
  ErrorCode.FILE_LOCK_CONFLICT,
  ErrorCode.SHARING_VIOLATION,
  ErrorCode.DISK_FULL,
]);

async function main(): Promise<void> {
  createInterface({ input: process.stdin }).on("line", (line) => {
    if (line === "finish") finishing = true;
  });
  const actors: Actor[] = [];
  for (let client = 0; client < options.clients; client++) {
    const first = client % options.nodes.length;
    const nodes = [...options.nodes.slice(first), ...options.nodes.slice(0, first)];
    const session = await connect({ nodes, clientName: `chaos-${client}`, deadlineMs: options.deadlineMs });
    actors.push(new Actor(client, session));
  }
  await Promise.all(actors.map((actor) => actor.open()));
  say({ type: "ready" });
  let failed = 0;
  await Promise.all(
    actors.map((actor, client) =>
      actor.run().catch((error: unknown) => {
        failed++;
        const text = error instanceof HoldfastError ? `${error.codeName}: ${error.message}` : String(error);
        say({ type: "failed", client, message: text });
      }),
    ),
  );
  say({ type: "finished", clients: actors.length - failed });
  process.exitCode = failed > 0 ? 1 : 0;
  process.stdin.destroy();
}

await main();
