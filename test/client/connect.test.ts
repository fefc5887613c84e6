import assert from "node:assert/strict";
import { CONNECTION_TABLE, type ConnectionState, nextState } from "../../src/client/connection-table.js";
import { connectOver } from "../../src/client/index.js";
import type { ClientOptions } from "../../src/client/index.js";
import { checkAddress, resolveOptions } from "../../src/client/options.js";
import { parsePath } from "../../src/client/paths.js";
import { nowhere } from "../../src/client/race.js";
import { Slot, SlotTable } from "../../src/client/slots.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { address, FakeCluster, refuse } from "./fake-cluster.js";
import type { Reachability } from "./fake-network.js";
import { SEED, World } from "./world.js";

/** Each way: slower than the stagger, quicker than any limit at which a node is given up. */
const SLOW_MS = 600;

describe(`client: parallel connect (SEED=${SEED})`, () => {
  function make(modes: Partial<Record<string, Reachability | "silent" | "unready" | "slow">>) {
    const world = new World();
    const names = Object.keys(modes);
    const cluster = new FakeCluster(world, names);
    for (const name of names) {
      const mode = modes[name];
      if (mode === "slow") cluster.link(name).delayMs = SLOW_MS;
      else if (mode !== "silent" && mode !== "unready") cluster.link(name).reachability = mode ?? "up";
    }
    cluster.interfere = (_request, node) => {
      if (modes[node] === "silent") return "silence";
      return modes[node] === "unready" ? refuse(ErrorCode.NOT_READY, "starting") : null;
    };
    const connect = (options: Partial<ClientOptions> = {}) =>
      connectOver(cluster.network, world.runtime, { nodes: cluster.addresses, witness: false, ...options });
    return { world, cluster, connect };
  }

  const troubles = ["refuse", "blackhole", "mute", "silent", "unready", "slow"] as const;
  for (const first of troubles)
    for (const second of troubles)
      it(`finds the one good node beside ${first} and ${second}, quickly, and leaves nothing at the others`, async () => {
        const { world, cluster, connect } = make({ n1: first, n2: second, n3: "up" });
        const session = await world.settle(connect());
        assert.equal(session.address, address("n3"));
        assert.ok(world.nowMs < 2 * 250 + 100, `took ${world.nowMs} ms`);
        assert.equal(cluster.sessions, 1);
        await world.pass(10_000);
        assert.equal(cluster.link("n1").openStreams + cluster.link("n2").openStreams, 0);
        assert.equal(session.state, "ready");
      });

  it("opens one session only, whichever node is quicker", async () => {
    const { world, cluster, connect } = make({ n1: "up", n2: "up", n3: "up" });
    for (const [i, name] of ["n1", "n2", "n3"].entries()) cluster.link(name).delayMs = 200 + 100 * i;
    await world.settle(connect());
    await world.pass(5_000);
    assert.equal(cluster.sessions, 1);
    assert.equal(cluster.requests("attach").length, 1);
    assert.ok(cluster.requests("ping").length > 1, "more than one node was asked");
  });

  it("spreads clients over the nodes", async () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 60; i++) {
      const world = new World(SEED + i);
      const cluster = new FakeCluster(world);
      const session = await world.settle(
        connectOver(cluster.network, world.runtime, { nodes: cluster.addresses, witness: false }),
      );
      counts.set(session.address, (counts.get(session.address) ?? 0) + 1);
    }
    for (const name of ["n1", "n2", "n3"])
      assert.ok((counts.get(address(name)) ?? 0) >= 6, `${name} got ${counts.get(address(name))} of 60`);
  });

  it("says at once that the cluster has no room for a new session", async () => {
    const { world, cluster, connect } = make({ n1: "up", n2: "up", n3: "up" });
    cluster.interfere = (request) => (request.attach ? refuse(ErrorCode.DISK_FULL, "nearly full") : null);
    await assert.rejects(
      world.settle(connect()),
      (error) => error instanceof HoldfastError && error.code === ErrorCode.DISK_FULL,
    );
    assert.ok(world.nowMs < 1_000, `told after ${world.nowMs} ms`);
  });

  it("tries another node when the chosen one cannot open a session", async () => {
    const { world, cluster, connect } = make({ n1: "up", n2: "up" });
    let refused = "";
    cluster.interfere = (request, node) => {
      if (!request.attach || (refused !== "" && refused !== node)) return null;
      refused = node;
      return refuse(ErrorCode.NO_QUORUM, "no leader");
    };
    const session = await world.settle(connect());
    assert.notEqual(session.address, address(refused));
  });

  it("does not go on trying when the answer would be the same everywhere", async () => {
    const { world, cluster, connect } = make({ n1: "up", n2: "up", n3: "up" });
    cluster.interfere = (request) =>
      request.attach ? refuse(ErrorCode.UNSUPPORTED_VERSION, "speaks 9, knows 1") : null;
    await assert.rejects(
      world.settle(connect()),
      (error: HoldfastError) => error.code === ErrorCode.UNSUPPORTED_VERSION,
    );
    assert.equal(cluster.requests("attach").length, 1);
  });

  it("says in one sentence why no node took the session, each reason once", () => {
    const unreachable = (text: string) => new HoldfastError(ErrorCode.NOT_READY, text);
    const error = nowhere(
      new Map([
        ["127.0.0.1:1", unreachable("127.0.0.1:1: connection refused or unreachable")],
        ["127.0.0.1:2", new HoldfastError(ErrorCode.NO_QUORUM, "no leader is known")],
      ]),
    );
    assert.equal(error.code, ErrorCode.NOT_READY);
    assert.equal(
      error.message,
      "no node takes the session: 127.0.0.1:1: connection refused or unreachable; 127.0.0.1:2: NO_QUORUM no leader is known",
    );
  });

  it("closes a dial that completes after it lost", async () => {
    const { world, cluster, connect } = make({ n1: "up", n2: "up" });
    for (const name of ["n1", "n2"]) cluster.link(name).delayMs = 150;
    await world.settle(connect());
    await world.pass(3_000);
    assert.equal(cluster.link("n1").openStreams + cluster.link("n2").openStreams, 1);
  });
});

describe("client: connection table", () => {
  it("reaches every state from the first one", () => {
    const reached = new Set<ConnectionState>(["connecting"]);
    for (let grown = true; grown; ) {
      grown = false;
      for (const state of [...reached])
        for (const next of Object.values(CONNECTION_TABLE[state]))
          if (!reached.has(next)) {
            reached.add(next);
            grown = true;
          }
    }
    assert.deepEqual([...reached].sort(), Object.keys(CONNECTION_TABLE).sort());
  });

  it("lets every state but the last be closed", () => {
    for (const [state, row] of Object.entries(CONNECTION_TABLE))
      if (state !== "closed") assert.equal(row.closed, "closed", state);
  });

  it("throws for a move that it does not have", () => {
    assert.throws(() => nextState("closed", "attached"), /"attached" in state "closed"/);
  });

  it("is walked through in a failover as it says", async () => {
    const world = new World();
    const cluster = new FakeCluster(world);
    const session = await world.settle(
      connectOver(cluster.network, world.runtime, { nodes: cluster.addresses, witness: false }),
    );
    const walk: string[] = [];
    session.on("state", (move) => walk.push(move.to));
    const owner = cluster.owner;
    cluster.kill(owner);
    const next = owner === "n2" ? "n3" : "n2";
    world.after(5, () => cluster.giveTo(next));
    await world.until(() => session.state === "ready" && walk.length > 0);
    await world.settle(session.close());
    assert.deepEqual(
      walk.filter((state) => state !== "waiting" && state !== "connecting"),
      ["reclaiming", "ready", "closing", "closed"],
    );
    assert.equal(walk[0], "connecting");
  });
});

describe("client: slots", () => {
  it("counts each slot up by one", () => {
    const slot = new Slot(0);
    for (let i = 1; i <= 3; i++) {
      slot.advance();
      assert.equal(slot.sequence, i);
      slot.confirm();
    }
    assert.equal(slot.fallBack(), false, "nothing is in doubt");
  });

  it("falls back over numbers in doubt, and no further", () => {
    const slot = new Slot(0);
    slot.advance();
    slot.confirm();
    slot.advance();
    slot.advance();
    assert.equal(slot.fallBack(), true);
    assert.equal(slot.sequence, 2);
    assert.equal(slot.fallBack(), false);
    assert.equal(slot.sequence, 2);
  });

  it("gives blocking calls half of the slots", () => {
    const table = new SlotTable(4);
    assert.ok(table.acquire(true));
    const second = table.acquire(true);
    assert.ok(second);
    assert.equal(table.acquire(true), null);
    assert.ok(table.acquire(false));
    table.release(second, true);
    assert.ok(table.acquire(true));
    assert.ok(table.acquire(false));
    assert.equal(table.acquire(false), null);
  });

  it("hands out each slot once", () => {
    const table = new SlotTable(64);
    const taken = Array.from({ length: 64 }, () => table.acquire(false)?.index);
    assert.deepEqual(
      taken.toSorted((a, b) => (a ?? 0) - (b ?? 0)),
      Array.from({ length: 64 }, (_, i) => i),
    );
  });
});

describe("client: what a caller can get wrong", () => {
  const invalid = (run: () => unknown) =>
    assert.throws(run, (error: HoldfastError) => error.code === ErrorCode.INVALID_ARGUMENT);

  it("refuses addresses that are none", () => {
    for (const bad of ["", "n1", "n1:", "n1:0", "n1:65536", "http://n1:7401", "::1:7401", "n1:7401/x"])
      invalid(() => checkAddress(bad));
    for (const good of ["n1:7401", "127.0.0.1:7401", "[::1]:7401", "a.b-c.example:1"]) checkAddress(good);
  });

  it("refuses settings out of range, and names the value", () => {
    const nodes = ["n1:7401"];
    invalid(() => resolveOptions({ nodes: [] }));
    invalid(() => resolveOptions({ nodes, deadlineMs: 0 }));
    invalid(() => resolveOptions({ nodes, pingIntervalMs: 600 }));
    invalid(() => resolveOptions({ nodes, clientName: "ä".repeat(129) }));
    assert.equal(resolveOptions({ nodes, clientName: "ä".repeat(128) }).deadlineMs, 30_000);
  });

  it("takes paths apart", () => {
    assert.deepEqual(parsePath("demo:/a/b.txt"), { share: "demo", path: "a/b.txt" });
    assert.deepEqual(parsePath("demo:a"), { share: "demo", path: "a" });
    assert.deepEqual(parsePath("demo:/"), { share: "demo", path: "" });
    assert.deepEqual(parsePath("demo:/dir/"), { share: "demo", path: "dir" });
    for (const bad of ["/a", "a/b", "", ":/a"]) assert.throws(() => parsePath(bad), HoldfastError);
  });
});
