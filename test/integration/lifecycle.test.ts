import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { NODE_EXIT } from "../../src/node/exit-codes.js";
import { Kind } from "../../src/state/keys.js";
import { openRocks } from "../../src/storage/index.js";
import { stateKeyOf } from "../../src/storage/keys.js";
import { seal, unseal } from "../../src/storage/records.js";
import { v1 } from "../../src/wire/index.js";
import { bin, ended, freePorts, isFree, run, TestCluster, until, type Ended } from "./cluster.js";

/** A node that refuses to run says why in exactly one line, with the next step. */
function oneLine(result: Ended, exitCode: number, pattern: RegExp): void {
  assert.equal(result.code, exitCode, result.stderr);
  const lines = result.stderr.trim().split("\n");
  assert.equal(lines.length, 1, result.stderr);
  assert.match(lines[0] ?? "", pattern);
  assert.match(lines[0] ?? "", /\. Next: .+/);
}

type Pair = readonly [Uint8Array, Uint8Array];

/** Changes a bit of the last record of a kind (log entries 0x20, state 0x30); answers what stood there. */
async function flipOne(db: string, kind: number): Promise<Pair> {
  const kv = await openRocks(db);
  const found = await kv.iterate(Buffer.from([kind]), Buffer.from([kind + 1])).next(100_000, 1e9);
  await kv.close();
  const [key, value] = found.at(-1) as Pair;
  const rotten = Buffer.from(value);
  rotten[rotten.length - 1] = (rotten.at(-1) as number) ^ 4;
  await rewrite(db, [key, rotten]);
  return [key, Buffer.from(value)];
}

interface Versions {
  readonly present: Pair;
  readonly newer: Pair;
}

/** The cluster's record and the folder's identity, as they are and as the next version might write them. */
async function makeNewer(db: string): Promise<{ readonly state: Versions; readonly identity: Versions }> {
  const kv = await openRocks(db);
  const all = await kv.iterate(Buffer.from([0x10]), Buffer.from([0x40])).next(100_000, 1e9);
  await kv.close();
  const [stateKey, state] = all.find(
    ([key]) => key[0] === 0x30 && stateKeyOf(key)[0] === Kind.cluster,
  ) as Pair;
  const record = v1.ClusterRecord.decode(unseal(stateKeyOf(stateKey), state));
  record.formatVersion = 2;
  const newer = v1.ClusterRecord.encode(record).finish();
  const [nameKey, name] = all.find(([key]) => Buffer.from(key).includes("identity")) as Pair;
  const identity = unseal(nameKey, name).toString().replace('"formatVersion":1', '"formatVersion":2');
  return {
    state: { present: [stateKey, state], newer: [stateKey, seal(stateKeyOf(stateKey), newer)] },
    identity: { present: [nameKey, name], newer: [nameKey, seal(nameKey, Buffer.from(identity))] },
  };
}

async function rewrite(db: string, [key, value]: Pair): Promise<void> {
  const kv = await openRocks(db);
  await new Promise<void>((resolve, reject) =>
    kv.write([{ type: "put", key, value }], { sync: true }, (error) => (error ? reject(error) : resolve())),
  );
  await kv.close();
}

describe("a node process", function () {
  this.timeout(300_000);
  let cluster: TestCluster | undefined;
  afterEach(async () => {
    await cluster?.destroy();
    cluster = undefined;
  });

  it("stops in order on SIGTERM with exit code 0 and finds its data again, also after kill -9", async () => {
    cluster = await TestCluster.start();
    const created = await cluster.cli("files", "mkdir", "demo:/kept");
    assert.equal(created.code, 0, created.stderr);
    const started = cluster;
    const incarnations = async () =>
      new Map(
        (await started.items<{ node: string; incarnation: number }>("nodes")).map((row) => [
          row.node,
          row.incarnation,
        ]),
      );
    const before = await incarnations();
    for (const name of ["n1", "n2", "n3"]) {
      assert.equal(readFileSync(join(cluster.node(name).data, "pid"), "utf8").trim().length > 0, true);
      const result = await cluster.kill(name, "SIGTERM");
      assert.deepEqual([result.code, result.signal], [0, null], result.stderr);
      assert.equal(existsSync(join(cluster.node(name).data, "pid")), false, "the pid file is gone");
    }
    cluster.startAll();
    await cluster.untilReady();
    const after = await incarnations();
    assert.deepEqual([...after.keys()], ["n1", "n2", "n3"]);
    // One more a start, and one more for each lease that a stall has cost.
    for (const [name, incarnation] of after) assert.ok(incarnation > (before.get(name) ?? Infinity), name);
    await Promise.all(["n1", "n2", "n3"].map((name) => started.kill(name)));
    cluster.startAll();
    await cluster.untilReady();
    const listed = await cluster.items<{ name: string }>("files", "ls", "demo:/");
    assert.deepEqual(
      listed.map((entry) => entry.name),
      ["kept"],
    );
  });

  it("hands leadership over when the leader stops: no election timeout passes", async () => {
    cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const result = await cluster.kill(leader, "SIGTERM");
    assert.equal(result.code, 0, result.stderr);
    const next = await cluster.leader();
    assert.notEqual(next, leader);
  });

  it("refuses a port that is taken", async () => {
    cluster = await TestCluster.create(1);
    for (const field of ["http", "grpc"] as const) {
      // The other nodes dial this port: a socket that nobody reads would keep the server from closing.
      const blocker = createServer((socket) => socket.destroy());
      const port = Number(cluster.node("n1")[field].split(":")[1]);
      await new Promise<void>((resolve) => blocker.listen(port, "127.0.0.1", resolve));
      const result = await cluster.startNode("n1").ended;
      await new Promise((resolve) => blocker.close(resolve));
      oneLine(result, NODE_EXIT.addressInUse, new RegExp(`127\\.0\\.0\\.1:${port}: the port is taken`));
    }
  });

  it("refuses a wrong flag, a wrong setting and a missing configuration", async () => {
    cluster = await TestCluster.create(1);
    const { config } = cluster.node("n1");
    const flag = await run(["node", "--konfig", config]);
    assert.equal(flag.code, NODE_EXIT.usage);
    assert.match(flag.stderr, /unknown option '--konfig'/);
    oneLine(
      await run(["node", "--config", config, "--set", "options.leaseMs=150"]),
      NODE_EXIT.usage,
      /options\.leaseMs: 150/,
    );
    oneLine(
      await run(["node", "--config", `${config}.none`]),
      NODE_EXIT.usage,
      /node\.yaml\.none cannot be read/,
    );
    oneLine(
      await run(["node", "--config", config, "--set", "listen.grpc=0.0.0.0:0"]),
      NODE_EXIT.usage,
      /beyond loopback, without tls/,
    );
  });

  it("refuses a damaged data folder, a folder of another node and one in use", async () => {
    cluster = await TestCluster.start(1);
    const { data, config } = cluster.node("n1");
    const [grpc, http] = await freePorts(2);
    const elsewhere = ["--set", `listen.grpc=127.0.0.1:${grpc}`, "--set", `listen.http=127.0.0.1:${http}`];
    oneLine(
      await run(["node", "--config", config, ...elsewhere]),
      NODE_EXIT.dataInUse,
      /is in use by another process/,
    );
    await cluster.kill("n1", "SIGTERM");
    oneLine(
      await run(["node", "--config", config, "--set", "cluster.id=other"]),
      NODE_EXIT.dataDamaged,
      /belongs to cluster local, the configuration says other/,
    );
    const db = join(data, "db");
    for (const kind of [0x20, 0x30]) {
      const whole = await flipOne(db, kind);
      oneLine(
        await run(["node", "--config", config]),
        NODE_EXIT.dataDamaged,
        /is damaged at key .+ checksum/,
      );
      await rewrite(db, whole);
    }
    for (const name of readdirSync(db).filter((each) => each.startsWith("MANIFEST-"))) {
      writeFileSync(join(db, name), "not a manifest");
    }
    oneLine(await run(["node", "--config", config]), NODE_EXIT.dataDamaged, /is damaged/);
    rmSync(join(db, "CURRENT"));
    oneLine(
      await run(["node", "--config", config]),
      NODE_EXIT.dataDamaged,
      /is damaged: it holds .+ but no CURRENT/,
    );
  });

  it("refuses state and a data folder of a newer version, and runs again with what it knows", async () => {
    cluster = await TestCluster.start(1);
    const { data, config } = cluster.node("n1");
    await cluster.kill("n1", "SIGTERM");
    const db = join(data, "db");
    const older = await makeNewer(db);
    for (const [written, pattern] of [
      [
        older.state,
        /n1: the state on disk has format version 2; this program knows 1\. Next: start a version of holdfast at/,
      ],
      [
        older.identity,
        /the data folder has format 2, this program knows formats up to 1\. Next: start it with the version that/,
      ],
    ] as const) {
      await rewrite(db, written.newer);
      oneLine(await run(["node", "--config", config]), NODE_EXIT.dataDamaged, pattern);
      await rewrite(db, written.present);
    }
    cluster.startNode("n1");
    await cluster.untilReady();
  });

  it("stops by itself when the parent that started it with a channel is gone", async () => {
    cluster = await TestCluster.create(1);
    const child = spawn(process.execPath, [bin, "node", "--config", cluster.node("n1").config], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    // "close" does not come for a child whose channel was closed from this side.
    const end = new Promise((resolve) => child.once("exit", (code, signal) => resolve([code, signal])));
    const { http } = cluster.node("n1");
    await until("n1 is ready", 90_000, async () => (await fetch(`http://${http}/readyz`)).ok);
    child.disconnect();
    assert.deepEqual(await end, [0, null]);
  });
});

describe("holdfast up", function () {
  this.timeout(300_000);
  let folder: TestCluster | undefined;
  afterEach(() => folder?.destroy());

  it("starts three nodes, says what to try, stops all three in order at Ctrl-C, and finds its data again", async () => {
    folder = await TestCluster.create(1);
    const data = join(folder.folder, "up");
    const base = await freeBase();
    const endpoints = [0, 1, 2].map((i) => `127.0.0.1:${base + i}`).join(",");
    for (const round of [1, 2]) {
      const child = spawn(process.execPath, [bin, "up", "--base-port", String(base), "--data", data], {
        stdio: ["ignore", "pipe", "pipe"],
      });
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
      const end = ended(child);
      await until("up says what to try", 100_000, () => said.includes("Ctrl-C stops the cluster"));
      assert.match(said, /^NODE .*\nn1 .*\nn2 .*\nn3 /m);
      assert.equal(said.match(/^ {2}(npx|kill) /gm)?.length, 3, "three commands to try");
      const pids = ["n1", "n2", "n3"].map((name) => Number(readFileSync(join(data, name, "pid"), "utf8")));
      const cli = (...args: string[]) => run(["--endpoints", endpoints, ...args]);
      if (round === 1) assert.equal((await cli("files", "mkdir", "demo:/from-round-1")).code, 0);
      else assert.match((await cli("files", "ls", "demo:/")).stdout, /from-round-1/);
      child.kill("SIGINT");
      const result = await end;
      assert.deepEqual([result.code, result.signal], [0, null], result.stderr);
      const stops = result.stderr.split("\n").filter((line) => /^n\d stopped$/.test(line));
      assert.deepEqual(stops, ["n1 stopped", "n2 stopped", "n3 stopped"]);
      for (const pid of pids) assert.throws(() => process.kill(pid, 0), /ESRCH/);
    }
    const elsewhere = await run(["up", "--base-port", String(base + 1), "--data", data]);
    assert.equal(elsewhere.code, 2);
    const line = `was made with --base-port ${base}, not ${base + 1}\\. Next: start it with ${base} `;
    assert.match(elsewhere.stderr, new RegExp(line));
  });

  it("says in one line what is wrong, and leaves no process behind", async () => {
    folder = await TestCluster.create(1);
    const data = join(folder.folder, "up");
    const base = await freeBase();
    // The other nodes dial this port: a socket that nobody reads would keep the server from closing.
    const blocker = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => blocker.listen(base + 1, "127.0.0.1", resolve));
    const result = await run(["up", "--base-port", String(base), "--data", data]);
    await new Promise((resolve) => blocker.close(resolve));
    assert.equal(result.code, NODE_EXIT.addressInUse, result.stderr);
    assert.match(
      result.stderr,
      new RegExp(
        `n2: holdfast: cannot listen for gRPC on 127\\.0\\.0\\.1:${base + 1}: the port is taken\\. Next: `,
      ),
    );
    for (const name of ["n1", "n2", "n3"]) assert.equal(existsSync(join(data, name, "pid")), false, name);
    assert.equal((await run(["up", "--base-port", "65500"])).code, 2);
    assert.match((await run(["up", "--base-port", "x"])).stderr, /Next: write --base-port 7401/);
    assert.equal((await run(["up", "--base-port", "x"])).code, 2);
  });

  it("does not take the cluster that runs at its ports already for its own", async () => {
    folder = await TestCluster.create(1);
    const data = join(folder.folder, "up");
    const base = await freeBase();
    // Each of them says that it is ready, as the nodes of a cluster that runs already do.
    const others = [100, 101, 102].map((offset) => {
      const other = createHttpServer((_, response) => void response.end("ok"));
      return new Promise<() => void>((resolve) =>
        other.listen(base + offset, "127.0.0.1", () => resolve(() => other.close())),
      );
    });
    const close = await Promise.all(others);
    const result = await run(["up", "--base-port", String(base), "--data", data]);
    for (const each of close) each();
    assert.equal(result.code, NODE_EXIT.addressInUse, result.stderr);
    assert.doesNotMatch(result.stdout, /Try, in another terminal/);
  });

  it("ends with a failure once none of its nodes is left", async () => {
    folder = await TestCluster.create(1);
    const data = join(folder.folder, "up");
    const base = await freeBase();
    const child = spawn(process.execPath, [bin, "up", "--base-port", String(base), "--data", data], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const end = ended(child);
    let said = "";
    child.stdout.on("data", (text: Buffer) => (said += text.toString()));
    await until("up says what to try", 100_000, () => said.includes("Ctrl-C stops the cluster"));
    for (const name of ["n1", "n2", "n3"])
      process.kill(Number(readFileSync(join(data, name, "pid"), "utf8")), "SIGKILL");
    const result = await end;
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /^no node is left$/m);
  });
});

/** Three ports in a row, and the three a hundred above, that are free. */
async function freeBase(): Promise<number> {
  return until("six free ports", 5_000, async () => {
    const [base] = await freePorts(1);
    if (base === undefined) return undefined;
    const tried = await Promise.all([0, 1, 2, 100, 101, 102].map((offset) => isFree(base + offset)));
    return tried.every(Boolean) ? base : undefined;
  });
}
