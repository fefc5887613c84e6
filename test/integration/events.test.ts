import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { connect } from "../../src/client/index.js";
import { bin, ended, run, TestCluster, until } from "./cluster.js";

interface Row {
  readonly revision: number | null;
  readonly kind: string;
  readonly node: string;
  readonly session: string;
  readonly text: string;
  readonly seenBy: string[];
  readonly error: string | null;
}

describe("holdfast events: what happened at all nodes", function () {
  this.timeout(300_000);
  // Each case begins where the one before has left the cluster.
  this.bail(true);
  let cluster: TestCluster;
  /** A node that is stopped, and would not answer. */
  let silent = "";

  before(async () => {
    cluster = await TestCluster.start();
  });
  after(() => cluster?.destroy());

  /** By one node alone: it names the others. */
  const events = async (...args: string[]) => {
    const endpoint = cluster.nodes.find(({ name }) => cluster.isRunning(name) && name !== silent)?.grpc ?? "";
    const result = await run(["--endpoints", endpoint, "events", "-o", "json", ...args]);
    assert.equal(result.code, 0, result.stderr);
    return JSON.parse(result.stdout) as { items: Row[]; resumeRevision: number };
  };
  const untilTold = (what: string, is: (row: Row) => boolean) =>
    until(what, 60_000, async () => {
      const { items } = await events();
      return items.find(is);
    });

  it("tells starts, leaders and leases of every node, asked for at one", async () => {
    for (const { name } of cluster.nodes) {
      await untilTold(`${name} has started`, (row) => row.kind === "node-started" && row.node === name);
      await untilTold(`${name} is up`, (row) => row.kind === "node-up" && row.text.includes(name));
      await untilTold(`${name} holds its lease`, (row) => row.kind === "lease-held" && row.node === name);
    }
    const leader = await cluster.leader();
    await untilTold(
      "everybody saw the leader",
      (row) => row.kind === "leader-changed" && row.seenBy.length === 3,
    );
    await untilTold("the leader says why", (row) => row.kind === "leader-elected" && row.node === leader);
  });

  it("has cordons, drains and members, and leaves out opens and closes unless asked", async () => {
    const session = await connect({ nodes: cluster.endpoints.split(","), deadlineMs: 60_000 });
    const handle = await session.open("demo:/events", { disposition: "open-if" });
    await handle.close();
    await cluster.undisturbed(async () => {
      const drained = await cluster.cli("drain", session.owner, "--reason", "test");
      assert.equal(drained.code, 0, drained.stderr);
    });
    const { items } = await events();
    const kinds = new Set(items.map((row) => row.kind));
    for (const kind of ["node-cordoned", "operation-begun", "operation-ended", "cluster"])
      assert.ok(kinds.has(kind), `${kind} is missing among ${[...kinds].join(", ")}`);
    assert.ok(!kinds.has("handle-opened"));
    assert.ok((await events("--all")).items.some((row) => row.kind === "handle-opened"));
    await session.close();
    for (const { name } of cluster.nodes) await cluster.cli("uncordon", name);
  });

  it("has a row for a node that cannot be reached, and tells what the others saw of its death", async () => {
    const leader = await cluster.leader();
    const token = (await events()).resumeRevision;
    await cluster.kill(leader);
    await untilTold("it is down", (row) => row.kind === "node-down" && row.text.includes(leader));
    // A node tells what it has seen when it comes to it.
    await until("the two that are left have told all", 60_000, async () => {
      const { items } = await events("--since", String(token));
      const gone = items.filter((row) => row.error !== null);
      assert.deepEqual(
        gone.map(({ kind, node, revision }) => [kind, node, revision]),
        [["unreachable", leader, null]],
      );
      assert.ok(items.some((row) => row.kind === "leader-lost"));
      assert.ok(items.some((row) => row.kind === "leader-changed" && row.seenBy.length === 2));
      return true;
    });
    const table = await cluster.cli("events");
    assert.match(table.stdout, new RegExp(`unreachable +${leader}`));
    cluster.startNode(leader);
    await cluster.untilReady([leader]);
    // What happened while it was away it learns from the others' memory, not from its own.
    await until("everybody tells", 60_000, async () => {
      const all = await events();
      assert.ok(all.items.some((row) => row.kind === "leader-lost" && row.node !== leader));
      assert.ok(all.items.every((row) => row.error === null));
      return true;
    });
  });

  /** `events --follow` from that revision on, until the test ends it. */
  function following(since: number) {
    const where = ["--endpoints", cluster.endpoints, "events", "-f", "-o", "json"];
    const child = spawn(process.execPath, [bin, ...where, "--since", String(since)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const end = ended(child);
    let lines = "";
    let said = "";
    child.stdout.on("data", (text: string) => (lines += text));
    child.stderr.on("data", (text: string) => (said += text));
    return {
      began: () => said.includes("following"),
      told: () =>
        lines
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line) as Row),
      stop: () => {
        child.kill("SIGINT");
        return end;
      },
    };
  }

  async function aFollower(): Promise<string> {
    const leader = await cluster.leader();
    return cluster.nodes.find(({ name }) => name !== leader)?.name ?? "";
  }

  it("follows all nodes: a lease that a stopped node lost, told by that node itself", async () => {
    const reader = following((await events()).resumeRevision);
    try {
      await until("they are followed", 60_000, reader.began);
      const paused = await aFollower();
      cluster.signal(paused, "SIGSTOP");
      await until("its death is followed", 60_000, () =>
        reader.told().some((row) => row.kind === "node-down" && row.text.includes(paused)),
      );
      cluster.signal(paused, "SIGCONT");
      await until("it tells of its lease", 60_000, () =>
        reader.told().some((row) => row.kind === "lease-lost" && row.node === paused),
      );
      const downs = reader.told().filter((row) => row.kind === "node-down");
      const revisions = new Set(downs.map((row) => row.revision));
      assert.equal(downs.length, revisions.size, "told by three nodes, shown once");
    } finally {
      const { code, stderr } = await reader.stop();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /go on from here with --since \d+/);
    }
    await cluster.untilReady();
  });

  it("follows a node that was silent at first: what it saw while nobody heard it is told, too", async () => {
    const paused = await aFollower();
    const { resumeRevision } = await events();
    cluster.signal(paused, "SIGSTOP");
    silent = paused;
    await untilTold(
      "its death",
      (row) => row.kind === "node-down" && row.text.includes(paused) && (row.revision ?? 0) >= resumeRevision,
    );
    const reader = following(resumeRevision);
    try {
      await until("its silence is told", 60_000, () =>
        reader.told().some((row) => row.kind === "unreachable"),
      );
      cluster.signal(paused, "SIGCONT");
      await until("it tells of its lease", 60_000, () =>
        reader.told().some((row) => row.kind === "lease-lost" && row.node === paused),
      );
    } finally {
      await reader.stop();
    }
  });
});
