import assert from "node:assert/strict";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { address, refuse } from "./fake-cluster.js";
import { failover, opened, start, text } from "./started.js";
import { SEED } from "./world.js";

describe(`client: failover (SEED=${SEED})`, () => {
  it("reads, writes, locks and closes without trouble", async () => {
    const { world, cluster, session, handle } = await opened();
    await world.settle(handle.write(0, text("hello")));
    assert.equal(Buffer.from(await world.settle(handle.read(0, 100))).toString(), "hello");
    await world.settle(handle.lock({ offset: 0, length: 5 }));
    assert.equal(await world.settle(handle.tryLock({ offset: 0, length: 5 })), false);
    await world.settle(handle.unlock({ offset: 0, length: 5 }));
    await world.settle(handle.close());
    await world.settle(session.close());
    assert.deepEqual(cluster.effects, [
      "open a",
      "write a 5",
      "lock a 0+5",
      "unlock a 0+5",
      "close a",
      "close-session",
    ]);
  });

  it("goes on with the same handle and lock at another node, and the caller sees a pause", async () => {
    const { world, cluster, session, handle } = await opened();
    const pauses: number[] = [];
    const moves: string[] = [];
    session.on("reconnected", (event) => pauses.push(event.pauseMs));
    session.on("moved", (event) => moves.push(`${event.from}>${event.to}@${event.epoch}`));
    await world.settle(handle.lock({ offset: 0, length: 5 }));
    failover(cluster, "n3", 1_000);
    await world.settle(handle.write(0, text("after")));
    assert.deepEqual(moves, ["n1>n3@2"]);
    const pause = pauses[0] ?? 0;
    assert.ok(pause >= 1_000 && pause < 1_200, `pause was ${pause} ms`);
    await world.settle(handle.unlock({ offset: 0, length: 5 }));
    assert.equal(cluster.requests("reconnect").length, 1);
  });

  it("does each mutating call once when the answer is lost with the node", async () => {
    const { world, cluster, handle } = await opened();
    // n1 does the work and dies before its answers leave.
    cluster.link("n1").reachability = "mute";
    const appends = Promise.all([1, 2, 3].map((n) => handle.append(text(`part${n}`))));
    await world.until(() => cluster.effects.filter((effect) => effect.startsWith("append")).length === 3);
    failover(cluster, "n2", 300);
    assert.deepEqual(await world.settle(appends), [0, 5, 10]);
    assert.equal(cluster.effects.filter((effect) => effect.startsWith("append")).length, 3);
    assert.equal(Buffer.from(cluster.files.get("a") ?? []).toString(), "part1part2part3");
    const sent = cluster.requests("write");
    const [first, repeats] = [sent.slice(0, 3), sent.slice(3)];
    assert.deepEqual(
      repeats.map((seen) => seen.request.context?.request),
      first.map((seen) => seen.request.context?.request),
      "same ids, in the same order",
    );
    assert.ok(
      first.every((seen) => !seen.request.context?.replay && seen.request.context?.channelSequence === 0),
    );
    assert.ok(
      repeats.every((seen) => seen.request.context?.replay && seen.request.context.channelSequence === 1),
      "marked as replays of a newer channel",
    );
  });

  it("replays an open under its id and create guid, and gets the handle of the first execution", async () => {
    const { world, cluster, session } = await start();
    cluster.link("n1").reachability = "mute";
    const opening = session.open("demo:/once", { disposition: "create" });
    await world.until(() => cluster.effects.includes("open once"));
    failover(cluster, "n2", 100);
    const handle = await world.settle(opening);
    assert.equal(cluster.effects.filter((effect) => effect === "open once").length, 1);
    await world.settle(handle.write(0, text("x")));
    assert.equal(cluster.effects.at(-1), "write once 1");
    const [first, second] = cluster.requests("open");
    assert.deepEqual(second?.request.open?.createGuid, first?.request.open?.createGuid);
    assert.equal(second?.request.context?.replay, true);
  });

  it("survives failover after failover, also while it is taking up its handles", async () => {
    const { world, cluster, handle } = await opened();
    failover(cluster, "n2", 200);
    // The next owner dies in the middle of the reconnect.
    cluster.interfere = (request, node) => {
      if (request.reconnect && node === "n2") {
        failover(cluster, "n3", 200);
        return "silence";
      }
      return null;
    };
    await world.settle(handle.append(text("x")));
    assert.equal(cluster.owner, "n3");
    assert.equal(cluster.effects.filter((effect) => effect.startsWith("append")).length, 1);
    cluster.link("n1").reachability = "up";
    failover(cluster, "n1", 200);
    await world.settle(handle.append(text("y")));
    assert.equal(Buffer.from(cluster.files.get("a") ?? []).toString(), "xy");
  });

  it("notices a stopped node by its silence and leaves it within its limit", async () => {
    const { world, cluster, session, handle } = await opened();
    let lostAtMs = 0;
    session.on("disconnected", () => (lostAtMs = world.nowMs));
    const stoppedAtMs = world.nowMs;
    cluster.link("n1").reachability = "blackhole";
    world.after(1_000, () => cluster.giveTo("n2"));
    await world.settle(handle.write(0, text("x")));
    const noticedMs = lostAtMs - stoppedAtMs;
    assert.ok(noticedMs >= 1_000 && noticedMs <= 1_700, `noticed after ${noticedMs} ms`);
    assert.equal(session.owner, "n2");
  });

  it("is not held up by a stopped owner that everybody still names", async () => {
    const { world, cluster, session, handle } = await opened();
    cluster.link("n1").reachability = "blackhole";
    const stoppedAtMs = world.nowMs;
    // The takeover comes late: meanwhile every other node answers NOT_OWNER, owner n1.
    world.after(4_000, () => cluster.giveTo("n3"));
    await world.settle(handle.write(0, text("x")), 30_000);
    assert.equal(session.owner, "n3");
    const tookMs = world.nowMs - stoppedAtMs;
    assert.ok(tookMs < 4_000 + 2_500, `took ${tookMs} ms`);
  });

  it("takes its handles along in the session step, and asks again for one that was put off", async () => {
    const { world, cluster, session, handle } = await opened();
    const second = await world.settle(session.open("demo:/b", { disposition: "open-if" }));
    cluster.takesHandlesAlong = true;
    failover(cluster, "n2", 500);
    await world.settle(handle.write(0, text("after")));
    await world.settle(second.write(0, text("after")));
    assert.equal(cluster.requests("reconnect").length, 0, "none on its own");
    const step = cluster.requests("attach").findLast((seen) => seen.node === "n2")?.request.attach;
    assert.deepEqual(
      step?.reconnects?.map((each) => [each.path, each.writing]),
      [
        ["a", true],
        ["b", false],
      ],
    );
  });

  it("opens a stream to where it is about to go, and goes there on it", async () => {
    const { world, cluster, session, handle } = await opened();
    const target = cluster.nodes.get("n2");
    cluster.nodes.get("n1")?.notify({ moveSoon: { node: "n2", grpcAddress: address("n2") } });
    await world.until(() => target?.streams.size === 1, 1_000);
    const [prepared] = target?.streams ?? [];
    cluster.giveTo("n2");
    cluster.nodes.get("n1")?.notify({ moveTo: { node: "n2", grpcAddress: address("n2") } });
    await world.until(() => session.owner === "n2" && session.state === "ready", 1_000);
    assert.equal(prepared?.attached, true);
    await world.settle(handle.write(0, text("x")));
  });

  it("closes the prepared stream when the move does not come", async () => {
    const { world, cluster, session } = await opened();
    const target = cluster.nodes.get("n2");
    cluster.nodes.get("n1")?.notify({ moveSoon: { node: "n2", grpcAddress: address("n2") } });
    await world.until(() => target?.streams.size === 1, 1_000);
    await world.until(() => target?.streams.size === 0, 15_000);
    assert.equal(session.owner, "n1");
  });

  it("follows a move that its node announces", async () => {
    const { world, cluster, session, handle } = await opened();
    cluster.giveTo("n2");
    cluster.nodes.get("n1")?.notify({ moveTo: { node: "n2", grpcAddress: address("n2") } });
    await world.until(() => session.owner === "n2" && session.state === "ready", 1_000);
    await world.settle(handle.write(0, text("x")));
    assert.equal(cluster.requests("write").length, 1, "sent to the new owner only");
  });

  it("follows NOT_OWNER at a call, under the same id", async () => {
    const { world, cluster, session, handle } = await opened();
    cluster.giveTo("n2");
    await world.settle(handle.append(text("x")));
    assert.equal(session.owner, "n2");
    const ids = cluster.requests("write").map((seen) => seen.request.context?.request);
    assert.deepEqual(ids[1], ids[0]);
  });

  it("waits out a frozen session and a cluster without quorum", async () => {
    const { world, cluster, handle } = await opened();
    let refusals = 5;
    cluster.interfere = (request) =>
      request.write && refusals-- > 0
        ? refuse(refusals % 2 ? ErrorCode.FROZEN : ErrorCode.NO_QUORUM, "later")
        : null;
    await world.settle(handle.append(text("x")));
    const ids = cluster.requests("write").map((seen) => JSON.stringify(seen.request.context?.request));
    assert.equal(ids.length, 6);
    assert.equal(new Set(ids).size, 1);
    assert.equal(cluster.effects.filter((effect) => effect.startsWith("append")).length, 1);
  });

  it("marks the repeat of a call that a node refused: the refusal may have come after the deed", async () => {
    const { world, cluster, handle } = await opened();
    let refusals = 1;
    cluster.interfere = (request) =>
      request.write && refusals-- > 0 ? refuse(ErrorCode.LEASE_LOST, "no lease") : null;
    await world.settle(handle.append(text("x")));
    const writes = cluster.requests("write").map((seen) => seen.request.context);
    assert.deepEqual(writes[1]?.request, writes[0]?.request);
    assert.deepEqual(
      writes.map((context) => context?.replay),
      [false, true],
    );
  });

  it("says unknown when a node lost its lease over a call and the deadline passed", async () => {
    const { world, cluster, handle } = await opened({}, 1);
    cluster.interfere = (request) => (request.write ? refuse(ErrorCode.LEASE_LOST, "no lease") : null);
    await assert.rejects(
      world.settle(handle.append(text("x"), { deadlineMs: 300 })),
      (error: HoldfastError) => error.code === ErrorCode.OUTCOME_UNKNOWN,
    );
  });

  it("leaves a node that keeps saying that it lost its lease", async () => {
    const { world, cluster, session, handle } = await opened();
    cluster.interfere = (request, node) =>
      node === "n1" && !request.ping ? refuse(ErrorCode.LEASE_LOST, "no lease") : null;
    world.after(700, () => cluster.giveTo("n2"));
    await world.settle(handle.append(text("x")));
    assert.equal(session.owner, "n2");
  });

  it("goes after its session, idle as it is, when a ping is answered that it has left the node", async () => {
    const { world, cluster, session, handle } = await opened();
    cluster.giveTo("n2");
    cluster.interfere = (request, node) =>
      node === "n1" && request.ping ? refuse(ErrorCode.NOT_OWNER, "session 1 has left this node") : null;
    await world.until(() => session.owner === "n2", 5_000);
    await world.settle(handle.write(0, text("x")));
    assert.deepEqual(cluster.effects, ["open a", "write a 1"]);
  });

  it("stays where it is while a ping is refused because the node lacks its lease for a moment", async () => {
    const { world, cluster, session } = await opened();
    cluster.interfere = (request) => (request.ping ? refuse(ErrorCode.LEASE_LOST, "no lease") : null);
    const before = cluster.requests("attach").length;
    await world.pass(3_000);
    assert.equal(session.owner, "n1");
    assert.equal(cluster.requests("attach").length, before);
  });

  it("asks for a file that is protected for the moment again under a new id, and not at all if told so", async () => {
    const { world, cluster, session } = await start();
    let refusals = 3;
    cluster.interfere = (request) => {
      if (!request.open || refusals === 0) return null;
      refusals -= 1;
      return refuse(ErrorCode.FILE_NOT_AVAILABLE, "held by an absent client");
    };
    await world.settle(session.open("demo:/b"));
    assert.equal(refusals, 0);
    assert.deepEqual(cluster.effects, ["open b"]);
    refusals = 1;
    await assert.rejects(
      world.settle(session.open("demo:/b", { waitForAvailable: false })),
      (error: HoldfastError) => error.code === ErrorCode.FILE_NOT_AVAILABLE,
    );
  });

  it("reconnects a handle once when the node does not know its volatile id", async () => {
    const { world, cluster, handle } = await opened();
    for (const fake of cluster.handles.values()) fake.volatile += 100;
    await world.settle(handle.write(0, text("x")));
    assert.equal(cluster.requests("reconnect").length, 1);
    assert.deepEqual(cluster.effects, ["open a", "write a 1"]);
  });

  it("asks for a handle again that could not be had for the moment, and as often as a node has lost it", async () => {
    const { world, cluster, handle } = await opened();
    let refusals = 3;
    cluster.interfere = (request) => {
      if (request.write && refusals > 0) for (const fake of cluster.handles.values()) fake.volatile += 100;
      return request.reconnect && refusals-- > 1 ? refuse(ErrorCode.NO_QUORUM, "not now") : null;
    };
    await world.settle(handle.write(0, text("x")));
    assert.equal(cluster.requests("reconnect").length >= 3, true);
    assert.deepEqual(cluster.effects, ["open a", "write a 1"]);
    assert.equal(handle.isOpen, true);
  });

  it("repeats under another id what was refused for its handle: the refusal may be stored", async () => {
    const { world, cluster, handle } = await opened();
    // The fake stores every answer, refusals included.
    for (const fake of cluster.handles.values()) fake.volatile += 100;
    assert.equal(await world.settle(handle.append(text("x"))), 0);
    for (const fake of cluster.handles.values()) fake.volatile += 100;
    await world.settle(handle.close());
    assert.deepEqual(cluster.effects, ["open a", "append a 1", "close a"]);
    assert.ok(
      [...cluster.handles.values()].every((fake) => !fake.open),
      "no handle is left open",
    );
  });

  it("tells of a handle that the cluster closed, and refuses calls on it", async () => {
    const { world, cluster, session, handle } = await opened();
    const lost: string[] = [];
    session.on("handleLost", (event) => lost.push(event.path));
    for (const fake of cluster.handles.values()) fake.open = false;
    failover(cluster, "n2", 50);
    await world.until(() => lost.length === 1);
    assert.deepEqual(lost, ["demo:/a"]);
    await assert.rejects(
      world.settle(handle.write(0, text("x"))),
      (error: HoldfastError) => error.code === ErrorCode.FILE_CLOSED,
    );
    await world.settle(handle.close());
  });

  it("counts a close as done when its answer was lost and the handle is gone", async () => {
    const { world, cluster, handle } = await opened();
    cluster.link("n1").reachability = "mute";
    const closing = handle.close();
    await world.until(() => cluster.effects.includes("close a"));
    failover(cluster, "n2", 50);
    await world.settle(closing);
    assert.equal(cluster.effects.filter((effect) => effect === "close a").length, 1);
    assert.equal(handle.isOpen, false);
  });

  it("ends everything when the cluster no longer knows the session", async () => {
    const { world, cluster, session, handle } = await opened();
    let lost: HoldfastError | null = null;
    session.on("lost", (event) => (lost = event.error));
    cluster.link("n1").reachability = "mute";
    const append = handle.append(text("x"));
    append.catch(() => undefined);
    const read = handle.read(0, 1);
    read.catch(() => undefined);
    await world.until(() => cluster.effects.includes("append a 1"));
    cluster.sessionIsGone = true;
    failover(cluster, "n2", 50);
    await world.until(() => session.state === "lost");
    assert.equal((lost as HoldfastError | null)?.code, ErrorCode.UNKNOWN_SESSION);
    await assert.rejects(append, (error: HoldfastError) => error.code === ErrorCode.OUTCOME_UNKNOWN);
    await assert.rejects(read, (error: HoldfastError) => error.code === ErrorCode.UNKNOWN_SESSION);
    await assert.rejects(
      session.stat("demo:/a"),
      (error: HoldfastError) => error.code === ErrorCode.UNKNOWN_SESSION,
    );
    await world.settle(session.close());
    assert.equal(session.state, "closed");
  });

  it("keeps every acknowledged append exactly once through random kills, mutes and stops", async () => {
    const { world, cluster, handle } = await opened({ deadlineMs: 300_000 });
    const random = world.runtime.random;
    const names = ["n1", "n2", "n3"];
    let faults = 0;
    const trouble = () => {
      if (faults++ >= 12) return;
      const from = cluster.owner;
      const to = names.filter((name) => name !== from)[random.below(2)] as string;
      const kind = (["mute", "blackhole", "refuse"] as const)[random.below(3)] as
        | "mute"
        | "blackhole"
        | "refuse";
      if (kind === "refuse") cluster.kill(from);
      else cluster.link(from).reachability = kind;
      world.after(100 + random.below(1_500), () => cluster.giveTo(to));
      world.after(2_500, () => {
        cluster.network.cut(address(from));
        cluster.link(from).reachability = "up";
      });
      world.after(3_000 + random.below(1_000), trouble);
    };
    world.after(50, trouble);
    const appended: string[] = [];
    const writer = async (name: string) => {
      for (let i = 0; i < 400; i++) {
        const token = `[${name}${i}]`;
        await handle.append(text(token));
        appended.push(token);
        if (i % 8 === 0) await new Promise<void>((resolve) => world.after(400, resolve));
      }
    };
    await world.settle(Promise.all(["a", "b", "c"].map(writer)), 600_000);
    const content = Buffer.from(cluster.files.get("a") ?? []).toString();
    assert.equal(content.length, appended.join("").length);
    for (const token of appended)
      assert.equal(content.split(token).length, 2, `${token} stands there exactly once`);
    assert.ok(faults >= 5, `only ${faults} faults struck`);
  });
});
