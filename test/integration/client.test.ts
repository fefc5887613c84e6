import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AdminEndpoint } from "../../src/cli/admin-client.js";
import { connect, type Session } from "../../src/client/index.js";
import { ErrorCode, type HoldfastError } from "../../src/wire/errors.js";
import { ended, TestCluster, until } from "./cluster.js";

/** The checkout: above dist/test/integration. */
const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
/** Longest wait for one answer of an operator's call: a mere bound. */
const ADMIN_MS = 30_000;
const text = (s: string) => new TextEncoder().encode(s);

describe("client library on a real cluster", function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  let admin: AdminEndpoint;
  const sessions: Session[] = [];

  before(async () => {
    cluster = await TestCluster.start();
    admin = new AdminEndpoint((cluster.nodes[0] as { grpc: string }).grpc);
  });
  after(async () => {
    admin?.close();
    await cluster?.destroy();
  });
  afterEach(async () => {
    await Promise.all(sessions.splice(0).map((session) => session.close({ deadlineMs: 2_000 })));
  });

  async function open(name: string): Promise<Session> {
    const session = await connect({
      nodes: cluster.nodes.map((node) => node.grpc),
      clientName: name,
      deadlineMs: 60_000,
    });
    sessions.push(session);
    return session;
  }

  it("runs the program of the README as it stands there", async () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const program = /## A first program[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)?.[1];
    assert.ok(program, "README.md has a program under 'A first program'");
    const addresses = cluster.nodes.map((node) => JSON.stringify(node.grpc)).join(", ");
    const adapted = program.replace(/nodes: \[[^\]]*\]/, `nodes: [${addresses}]`);
    assert.notEqual(adapted, program, "the program names its nodes");
    // Inside the checkout, so that it finds the package by its name.
    const folder = mkdtempSync(join(root, "dist", "readme-"));
    try {
      const file = join(folder, "program.mjs");
      writeFileSync(file, adapted);
      const result = await ended(
        spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "pipe"], cwd: folder }),
      );
      assert.equal(result.code, 0, result.stderr);
      assert.equal(result.stdout, "hello\n");
    } finally {
      rmSync(folder, { recursive: true });
    }
    assert.equal(readFileSync(join(cluster.share, "first.txt"), "utf8"), "hello");
  });

  it("goes on when its owner is stopped, not killed: silence is noticed, the lock is kept", async () => {
    const session = await open("stopped");
    const rival = await open("rival");
    const handle = await session.open("demo:/stopped", { disposition: "overwrite-if" });
    await handle.lock({ offset: 0, length: 10 });
    const victim = session.owner;
    cluster.signal(victim, "SIGSTOP");
    try {
      // Within the deadline, while the victim says nothing: how long it takes is for the flight recorder.
      await handle.append(text("after"));
      assert.notEqual(session.owner, victim);
      const other = await rival.open("demo:/stopped");
      assert.equal(await other.tryLock({ offset: 0, length: 10 }), false);
      await handle.unlock({ offset: 0, length: 10 });
      assert.equal(await other.tryLock({ offset: 0, length: 10 }), true);
      await other.close();
    } finally {
      // It finds itself declared down, and ends or registers anew.
      cluster.signal(victim, "SIGCONT");
      await cluster.kill(victim);
      cluster.startNode(victim);
      await cluster.untilReady([victim]);
    }
    await handle.close();
  });

  it("is moved between living nodes under load without an error, and nothing is done twice", async () => {
    const session = await open("moved");
    const handle = await session.open("demo:/moved", { disposition: "overwrite-if" });
    await handle.lock({ offset: 1_000_000, length: 1 });
    let stop = false;
    let appended = 0;
    const writer = async () => {
      for (; !stop; appended += 10) await handle.append(text("0123456789"));
    };
    const reader = async () => {
      while (!stop) await handle.read(0, 100);
    };
    const load = Promise.all([writer(), writer(), reader()]);
    const owners = [session.owner];
    for (let i = 0; i < 3; i++)
      await cluster.undisturbed(async () => {
        const to = cluster.nodes.find((node) => node.name !== session.owner)?.name ?? "";
        const plan = await admin.call("PlanTransfer", { sessionId: session.id, to }, ADMIN_MS);
        const request = { sessionId: session.id, to, planHash: plan.hash ?? "", requestedBy: "test" };
        const begun = await admin.call("Transfer", request, ADMIN_MS);
        const state = await until("the operation has ended", 30_000, async () => {
          const { operations } = await admin.call("ListOperations", { id: begun.id ?? "" }, ADMIN_MS);
          const operation = operations?.[0];
          return operation?.state === "done" || operation?.state === "failed" ? operation : null;
        });
        assert.equal(state.state, "done", state.error ?? "");
        await until(
          "the client has come along",
          30_000,
          () => session.owner === to && session.state === "ready",
        );
        owners.push(session.owner);
      });
    stop = true;
    await load;
    assert.equal(new Set(owners.slice(0, 2)).size, 2);
    assert.equal(readFileSync(join(cluster.share, "moved"), "utf8"), "0123456789".repeat(appended / 10));
    await handle.unlock({ offset: 1_000_000, length: 1 });
    await handle.close();
    await cluster.undisturbed(async () => {
      // Who has it by the cluster's own word: the client may be a moment behind a failover.
      const { sessions: listed } = await admin.call("ListSessions", {}, ADMIN_MS);
      const owner = listed?.find(({ id }) => Number(id) === Number(session.id))?.owner ?? "";
      await assert.rejects(
        admin.call("Transfer", { sessionId: session.id, to: owner }, ADMIN_MS),
        (error: HoldfastError) => error.code === ErrorCode.NO_CHANGE,
      );
    });
  });

  it("leaves a node that is drained; the node gets nothing new", async () => {
    const session = await open("drained");
    const handle = await session.open("demo:/drained", { disposition: "overwrite-if" });
    const victim = session.owner;
    await admin.call("Transfer", { node: victim, drain: true, requestedBy: "test" }, ADMIN_MS);
    await until("the session has left", 60_000, () => session.owner !== victim && session.state === "ready");
    await handle.append(text("x"));
    const others = await Promise.all([1, 2, 3, 4].map((i) => open(`new-${i}`)));
    assert.ok(
      others.every((other) => other.owner !== victim),
      "a draining node takes no new session",
    );
    await admin.call("ScheduleNode", { node: victim, cordoned: false, draining: false }, ADMIN_MS);
    await handle.close();
  });
});
