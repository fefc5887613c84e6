import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { connect } from "../../src/client/index.js";
import { run, TestCluster, until } from "./cluster.js";

interface NodeYaml {
  cluster: { join?: boolean; members: { name: string }[] };
}

describe("membership of real processes", function () {
  this.timeout(300_000);
  let cluster: TestCluster;

  before(async () => {
    cluster = await TestCluster.create(4);
    // The first three found the cluster; the fourth is to join it.
    for (const node of cluster.nodes) {
      const config = parse(readFileSync(node.config, "utf8")) as NodeYaml;
      if (node.name === "n4") config.cluster.join = true;
      else config.cluster.members = config.cluster.members.filter((member) => member.name !== "n4");
      writeFileSync(node.config, stringify(config));
    }
    for (const name of ["n1", "n2", "n3"]) cluster.startNode(name);
    await cluster.untilReady(["n1", "n2", "n3"]);
  });
  after(() => cluster?.destroy());

  /** The items of a list command that knows of no other endpoint. */
  async function asked<T>(name: string, command: string): Promise<T[]> {
    const { stdout } = await run([command, "-o", "json", "--endpoints", cluster.node(name).grpc]);
    return stdout === "" ? [] : (JSON.parse(stdout) as { items: T[] }).items;
  }

  const voters = async () =>
    (await cluster.items<{ member: string; voter: boolean }>("members"))
      .filter(({ voter }) => voter)
      .map(({ member }) => member);

  it("a member whose disk was wiped stops with one line that says so and what to do", async () => {
    await cluster.kill("n3");
    rmSync(join(cluster.node("n3").data, "db"), { recursive: true });
    const { code, stderr } = await cluster.startNode("n3").ended;
    assert.equal(code, 66);
    assert.match(
      stderr,
      /^holdfast: n3 is refused by its peers.*wiped or replaced.*Next: .*members remove.*$/m,
    );
  });

  it("refuses changes that make no sense or would lose the quorum, each with its reason", async () => {
    const n4 = cluster.node("n4");
    for (const [args, words] of [
      [["add", "n4", "--id", "3", "--grpc", n4.grpc], /INVALID_ARGUMENT: n3 is member 3/],
      [["add", "n4", "--id", "x", "--grpc", n4.grpc], /--id x is no number/],
      [["promote", "n9"], /UNKNOWN_MEMBER: there is no member n9; known are n1, n2, n3/],
      [["remove", "n1"], /PRECONDITION_FAILED: without n1 only 1 of 2 voters/],
      [["demote", "n1"], /PRECONDITION_FAILED: without n1 only 1 of 2 voters/],
      [["add", "n 4", "--id", "4", "--grpc", n4.grpc], /INVALID_ARGUMENT: member name "n 4" must be letters/],
      [["add", "n4", "--id", "4", "--grpc", "n4"], /INVALID_ARGUMENT: address "n4" is not host:port/],
      [["add", "n4", "--id", "4294967297", "--grpc", n4.grpc], /--id 4294967297 is no number of a member/],
    ] as const) {
      await cluster.undisturbed(async () => {
        const { code, stderr } = await cluster.cli("members", ...args);
        assert.notEqual(code, 0, args.join(" "));
        assert.match(stderr, words);
        assert.match(stderr, /Next: /);
      });
    }
  });

  it("another node takes its place: removed, added, promoted", async () => {
    assert.equal((await cluster.cli("members", "remove", "n3")).code, 0);
    const n4 = cluster.node("n4");
    const added = await cluster.cli(
      "members",
      "add",
      "n4",
      "--id",
      "4",
      "--grpc",
      n4.grpc,
      "--http",
      n4.http,
    );
    assert.equal(added.code, 0, added.stderr);
    assert.match((await cluster.cli("members", "promote", "n4")).stderr, /lacks most of the log/);
    cluster.startNode("n4");
    // Without a vote it serves files already: what a host is that shall only do that.
    await cluster.untilReady(["n4"]);
    assert.deepEqual(await voters(), ["n1", "n2"]);
    const session = await connect({ nodes: [n4.grpc], deadlineMs: 60_000 });
    const handle = await session.open("demo:/by-a-learner", { disposition: "create" });
    await handle.write(0, new TextEncoder().encode("served"));
    assert.equal(new TextDecoder().decode(await handle.read(0, 16)), "served");
    // A node that has stalled past its lease has lost what it served; the next session is its own again.
    await until("a session is n4's own", 60_000, async () => {
      const own = await connect({ nodes: [n4.grpc], deadlineMs: 60_000 });
      const { owner } = own;
      await own.close();
      return owner === "n4";
    });
    await session.close();
    const moved = await cluster.cli("leader", "move", "--to", "n4");
    assert.equal(moved.code, 5, moved.stderr);
    assert.match(moved.stderr, /n4 has no vote and cannot lead. Next: holdfast members promote n4/);
    await until("n4 has caught up and is promoted", 90_000, async () => {
      return (await cluster.cli("members", "promote", "n4")).code === 0;
    });
    await until("n4 votes", 60_000, async () => (await voters()).join() === "n1,n2,n4");
    await cluster.untilReady(["n1", "n2", "n4"]);
  });

  it("any node shows what the leader sees, and nobody waits for the one that was removed", async () => {
    // One of the two follows.
    for (const name of ["n1", "n4"])
      await until(`the members as ${name} shows them`, 60_000, async () => {
        const states = (await asked<{ state: string }>(name, "members")).map(({ state }) => state);
        return states.length === 3 && states.every((state) => state !== "") && states.includes("leader");
      });
    await until("the status", 60_000, async () => {
      return (await asked<{ node: string }>("n1", "status")).map(({ node }) => node).join() === "n1,n2,n4";
    });
  });

  it("one of the founders can be missing", async () => {
    // With n4 as one of three voters, one of the founders can be missing.
    await cluster.kill("n1");
    await cluster.untilReady(["n2", "n4"]);
  });
});
