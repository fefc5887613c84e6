import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { bin, ended, TestCluster, until } from "./cluster.js";

const MEBIBYTE = 1024 * 1024;
const PIECES = 200;

/** Random bytes that need no memory for all of them: every MiB differs, so a lost or misplaced one shows. */
class Source {
  private readonly seed = randomBytes(MEBIBYTE);

  piece(i: number): Buffer {
    const piece = Buffer.from(this.seed);
    piece.writeUInt32BE(i, 0);
    piece.writeUInt32BE(i * 7919, MEBIBYTE - 4);
    return piece;
  }

  sha256(): string {
    const hash = createHash("sha256");
    for (let i = 0; i < PIECES; i++) hash.update(this.piece(i));
    return hash.digest("hex");
  }
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(file)) hash.update(piece as Buffer);
  return hash.digest("hex");
}

/** Begins it; whoever awaits it later hears of its failure, which until then is not unhandled. */
function begun(disturbance: Disturbance[number]): Promise<void> {
  const running = disturbance.run();
  running.catch(() => undefined);
  return running;
}

/** What happens on the way, each at a share of the bytes; the transfer goes on meanwhile. */
type Disturbance = readonly { readonly atPiece: number; run(): Promise<void> }[];

describe("put and get of 200 MB while nodes die", function () {
  this.timeout(300_000);
  const source = new Source();
  const wanted = source.sha256();
  let cluster: TestCluster;

  before(async () => {
    cluster = await TestCluster.start();
  });
  after(() => cluster?.destroy());

  /** Feeds `files put -`; holds at each point until its disturbance has found out whom to hit, then goes on at once. */
  async function put(name: string, disturbance: Disturbance): Promise<void> {
    const child = spawn(
      process.execPath,
      [bin, "--endpoints", cluster.endpoints, "files", "put", "-", `demo:/${name}`, "-o", "json"],
      {
        stdio: ["pipe", "pipe", "pipe"],
      },
    );
    const end = ended(child);
    const running: Promise<void>[] = [];
    const stdin = child.stdin as Writable;
    stdin.on("error", () => undefined);
    for (let i = 0; i < PIECES && child.exitCode === null; i++) {
      for (const each of disturbance) if (each.atPiece === i) running.push(begun(each));
      // One disturbance after the other: the next begins when the node of the last is back.
      if (disturbance.some((each) => each.atPiece === i + 1)) await Promise.all(running);
      if (!stdin.write(source.piece(i)))
        await Promise.race([new Promise((resolve) => stdin.once("drain", resolve)), end]);
    }
    await Promise.all(running);
    stdin.end();
    const result = await end;
    assert.equal(result.code, 0, result.stderr);
    assert.equal((JSON.parse(result.stdout) as { sha256: string }).sha256, wanted);
    assert.equal(await sha256(join(cluster.share, name)), wanted, "the file in the share");
  }

  /** Reads `files cat` with the same holds. */
  async function get(name: string, disturbance: Disturbance): Promise<void> {
    const child = spawn(
      process.execPath,
      [bin, "--endpoints", cluster.endpoints, "files", "cat", `demo:/${name}`],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const end = new Promise<number | null>((resolve) => child.once("close", resolve));
    const hash = createHash("sha256");
    const pending = [...disturbance];
    const running: Promise<void>[] = [];
    let bytes = 0;
    for await (const piece of child.stdout as Readable) {
      hash.update(piece as Buffer);
      bytes += (piece as Buffer).length;
      const [next] = pending;
      if (next === undefined || bytes < next.atPiece * MEBIBYTE) continue;
      await Promise.all(running);
      pending.shift();
      running.push(begun(next));
    }
    await Promise.all(running);
    assert.equal(await end, 0, stderr);
    assert.equal(bytes, PIECES * MEBIBYTE);
    assert.equal(hash.digest("hex"), wanted);
    assert.equal(pending.length, 0, "every disturbance took place");
  }

  /** The node that owns the session of the transfer under way. */
  async function owner(): Promise<string> {
    return until("the transfer has a connected session", 60_000, async () => {
      const sessions = await cluster.items<{ owner: string; client: string; state: string }>("sessions");
      return sessions.find((each) => each.client.startsWith("holdfast-cli/") && each.state === "connected")
        ?.owner;
    });
  }

  const revive = async (name: string) => {
    cluster.startNode(name);
    await cluster.untilReady([name]);
  };
  const killOwner = async () => {
    const name = await owner();
    await cluster.kill(name);
    await revive(name);
  };
  const killLeader = async () => {
    const name = await cluster.leader();
    await cluster.kill(name);
    await revive(name);
  };

  for (const [verb, transfer] of [
    ["put", put],
    ["get", get],
  ] as const) {
    it(`${verb} while the owner is killed -9`, () => transfer("a", [{ atPiece: 40, run: killOwner }]));
    it(`${verb} while the Raft leader is killed -9`, () => transfer("a", [{ atPiece: 40, run: killLeader }]));
    it(`${verb} while one is killed -9 and, after it is back, another`, () =>
      transfer("a", [
        { atPiece: 40, run: killOwner },
        { atPiece: 120, run: killOwner },
      ]));
  }

  it("keeps a record of each failover of an owner", async () => {
    type Row = { kind: string; cause: string; from: string; to: string[] };
    const records = await cluster.items<Row>("failovers");
    assert.ok(records.length >= 6, JSON.stringify(records));
    for (const record of records) {
      // A node that is back before its lease has run out keeps what it had, under a new incarnation.
      const keeps = record.cause.startsWith("restarted");
      assert.equal(record.to.includes(record.from), keeps, JSON.stringify(record));
    }
  });

  it("leaves every node healthy", async () => {
    await until("status is all well", 60_000, async () => (await cluster.cli("status")).code === 0);
  });
});
