import assert from "node:assert/strict";
import { ErrorCode, HoldfastError, type Handle, type Session } from "../../src/client/index.js";
import { Transfers } from "../../src/coordinator/index.js";
import type { v1 } from "../../src/wire/index.js";
import { TortureWorld } from "./world.js";

const SEED = Number(process.env["SEED"] ?? 1);
const SEEDS = Number(process.env["RUNS"] ?? 12);

/** A cluster that moves what an operator says. */
class TransferWorld extends TortureWorld {
  private readonly transfers = new Map<string, Transfers>();

  async startMoving(): Promise<void> {
    await this.start();
    for (const { name } of this.nodes) this.driveBy(name);
  }

  /** A process that was started anew drives operations again. */
  driveBy(name: string): void {
    const node = this.node(name);
    assert(node?.process && node.replica);
    this.transfers.set(name, new Transfers({ runtime: node.process.runtime(), replica: node.replica }));
  }

  plan(request: v1.ITransferRequest): Promise<v1.ITransferPlan> {
    return this.driver().plan(request);
  }

  /** Moves a handle alone, and waits until that is done. */
  async move(handle: Handle, to: string): Promise<v1.IOperationRecord> {
    const handleId = Buffer.from(handle.id, "hex");
    const begun = await this.driver().begin({ handleId, to });
    const now = (): v1.IOperationRecord | undefined =>
      [...this.state.operations()].find(({ id }) => id === begun.id);
    await this.until("the operation has ended", () => now()?.state !== "running");
    const ended = now() ?? {};
    assert.equal(ended.state, "done", ended.error ?? "");
    return ended;
  }

  private driver(): Transfers {
    const found = this.transfers.get(this.leader()?.name ?? "");
    assert(found, "somebody leads");
    return found;
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Appends letters one after the other until it is told to stop; what was answered is what must stand there. */
class Appender {
  acknowledged = "";
  private stopped = false;
  private readonly done: Promise<void>;

  constructor(
    private readonly handle: Handle,
    private readonly pass: (ms: number) => Promise<void>,
  ) {
    this.done = this.run();
  }

  private async run(): Promise<void> {
    for (let i = 0; !this.stopped; i++) {
      const letter = String.fromCharCode(97 + (i % 26));
      await this.handle.append(bytes(letter));
      this.acknowledged += letter;
      await this.pass(1);
    }
  }

  async stop(): Promise<string> {
    this.stopped = true;
    await this.done;
    return this.acknowledged;
  }
}

describe(`a handle is moved alone (SEED=${SEED})`, function () {
  this.timeout(60_000);

  async function within(seed: number, test: (world: TransferWorld, session: Session) => Promise<void>) {
    const world = new TransferWorld(seed);
    await world.drive(
      (async () => {
        await world.startMoving();
        await test(world, await world.library("mover"));
      })(),
    );
  }

  for (let seed = SEED; seed < SEED + SEEDS; seed++) {
    it(`seed ${seed}: appends on it and beside it go on, each once, over moves and the death of its owner`, () =>
      within(seed, async (world, session) => {
        const [stays, goes] = await Promise.all(
          ["stays", "goes"].map((name) => session.open(`ca:/${name}`, { disposition: "create" })),
        );
        assert(stays && goes);
        const losses: string[] = [];
        const moves: string[] = [];
        session.on("disconnected", ({ reason }) => losses.push(reason));
        session.on("handleMoved", ({ to }) => moves.push(to));
        session.on("handleLost", ({ reason }) => assert.fail(reason));
        const home = world.state.session(session.id)?.owner ?? "";
        const [first, second] = ["n1", "n2", "n3"].filter((name) => name !== home);
        assert(first && second);
        const appenders = [stays, goes].map((handle) => new Appender(handle, (ms) => world.pass(ms)));
        await world.pass(20 + seed);
        const operation = await world.move(goes, first);
        assert.equal(operation.items?.[0]?.epochAfter, (operation.items?.[0]?.epochBefore ?? 0) + 1);
        await world.until("its client serves it from there", () => goes.owner === first);
        assert.notEqual(goes.sessionId, session.id);
        await world.pass(30);
        await world.move(goes, second);
        await world.until("and then from the other", () => goes.owner === second);
        await world.pass(30);
        assert.equal(world.state.session(session.id)?.owner, home);
        assert.deepEqual(losses, [], "the session that it left was never disturbed");
        assert.deepEqual(moves, [first], "the second time its own session moved");
        const other = world.nodes.find(({ name }) => name === (seed % 2 === 0 ? first : home));
        assert(other);
        await world.leadBy(other);
        world.node(second)?.crash(false);
        await world.until("another node serves it", () => goes.owner !== second && goes.owner !== "");
        await world.pass(50);
        const texts = await Promise.all(appenders.map((appender) => appender.stop()));
        assert.equal(world.content("stays"), texts[0]);
        assert.equal(world.content("goes"), texts[1]);
        assert((texts[1]?.length ?? 0) > 10, `${texts[1]?.length} appends`);
        const own = goes.sessionId;
        await goes.close();
        await world.until("the session that was made for it ends with it", () => !world.state.session(own));
        await stays.close();
        await session.close();
        assert.equal([...world.state.sessions()].length, 0);
      }));
  }

  it("the flight recorder has it as a session that moved, with the pause that its client saw", () =>
    within(SEED, async (world, session) => {
      const handle = await session.open("ca:/recorded", { disposition: "create" });
      const to = world.state.session(session.id)?.owner === "n2" ? "n1" : "n2";
      let gapMs = 0;
      let moved = false;
      const appending = (async () => {
        for (let last = world.nowMs, after = 0; after < 3; after += moved ? 1 : 0) {
          await handle.append(bytes("a"));
          moved ||= handle.owner === to;
          gapMs = Math.max(gapMs, world.nowMs - last);
          last = world.nowMs;
        }
      })();
      await world.pass(30);
      await world.move(handle, to);
      await appending;
      const record = () => [...world.state.failovers()].at(-1) ?? {};
      await world.until("it was measured", () => record().sessionsMeasured === 1);
      const { kind, sessions, handles, sessionsBack, sessionsLost, slowestSession } = record();
      assert.deepEqual([kind, sessions, handles, sessionsBack, sessionsLost], ["transfer", 1, 1, 1, 0]);
      assert.equal(slowestSession, handle.sessionId);
      const { fenceUs, reassignUs, reclaimUs, clientGapUs } = record();
      const pauseMs = ((fenceUs ?? 0) + (reassignUs ?? 0) + (reclaimUs ?? 0)) / 1_000;
      const told = JSON.stringify({ gapMs, ...record() });
      assert.ok(Math.abs((clientGapUs ?? 0) / 1_000 - gapMs) <= gapMs / 10, told);
      assert.ok(Math.abs(pauseMs - gapMs) <= gapMs / 10, told);
      if (process.env["SHOW"]) console.log(told);
      await session.close();
    }));

  it("locks go along and stay in force, a waiting one goes on waiting, a lease break finds it", () =>
    within(SEED, async (world, session) => {
      const other = await world.other("contender");
      const his = await other.hold("locked");
      const handle = await session.open("ca:/locked", { disposition: "open-if" });
      await handle.lock({ offset: 0, length: 4 });
      await other.must(other.lockRequest(his, 10, 4));
      let waited = "waits";
      const waiting = handle.lock({ offset: 10, length: 4 }).then(() => {
        waited = "has it";
      });
      await world.until("it waits", () => [...world.state.pending()].length === 1);
      const to = world.state.session(session.id)?.owner === "n2" ? "n1" : "n2";
      await world.move(handle, to);
      await world.until("it is served there", () => handle.owner === to);
      await other.refused(ErrorCode.LOCK_NOT_GRANTED, other.lockRequest(his, 0, 1));
      await other.refused(ErrorCode.FILE_LOCK_CONFLICT, other.writeRequest(his, "x", 2));
      await world.until("it waits again", () => [...world.state.pending()].length === 1);
      assert.equal(waited, "waits");
      await other.must(other.lockRequest(his, 10, 4, { unlock: true }));
      await waiting;
      await handle.unlock({ offset: 0, length: 4 });
      await handle.write(0, bytes("mine"));
      await session.close();
      await world.until("all is closed", () => [...world.state.sessions()].length === 1);
    }));

  it("a break of its lease is told where the program listens, and acknowledged in its new session", () =>
    within(SEED, async (world, session) => {
      const handle = await session.open("ca:/leased", {
        disposition: "create",
        lease: { key: new Uint8Array(16).fill(7), state: 7, version: 2 },
      });
      const told: number[] = [];
      session.on("leaseBreak", (broken) => {
        told.push(broken.breakTo);
        void broken.acknowledge();
      });
      const to = world.state.session(session.id)?.owner === "n2" ? "n1" : "n2";
      await world.move(handle, to);
      await world.until("it is served there", () => handle.owner === to);
      assert.equal(handle.lease?.state, 7, "moving breaks nothing");
      const other = await world.other("contender");
      await other.hold("leased");
      assert.deepEqual(told, [3]);
      assert.equal(handle.lease?.state, 3);
      await session.close();
    }));

  it("a client that is away finds it where it was sent", () =>
    within(SEED, async (world, session) => {
      const handle = await session.open("ca:/away", { disposition: "create" });
      await handle.append(bytes("before "));
      const gate = world.gateOf(session);
      gate.shut();
      await world.until("it is away", () => world.state.session(session.id)?.connected !== true);
      const to = world.state.session(session.id)?.owner === "n2" ? "n1" : "n2";
      await world.move(handle, to);
      const appended = handle.append(bytes("after"));
      await world.pass(100);
      gate.reopen();
      await appended;
      assert.equal(world.content("away"), "before after");
      assert.equal(handle.owner, to);
      await session.close();
    }));

  it("the plan says what stands in the way, and names what it would do", () =>
    within(SEED, async (world, session) => {
      const plain = await session.open("ca:/plain", { disposition: "create", kind: "plain" });
      const handle = await session.open("ca:/planned", { disposition: "create" });
      const handleId = Buffer.from(handle.id, "hex");
      const refused = await world.plan({ handleId: Buffer.from(plain.id, "hex") });
      assert.match(refused.blockers?.join() ?? "", /not persistent/);
      const plan = await world.plan({ handleId });
      assert.deepEqual(plan.blockers, []);
      assert.deepEqual(Buffer.from(plan.items?.[0]?.handleId ?? []), handleId);
      const whole = await world.plan({ sessionId: session.id, to: plan.items?.[0]?.to ?? "" });
      assert.notEqual(whole.hash, plan.hash, "another plan than that of the session");
      const unknown = await world.plan({ handleId: new Uint8Array(16) }).catch((error: unknown) => error);
      assert(unknown instanceof HoldfastError && unknown.code === ErrorCode.UNKNOWN_HANDLE);
      await session.close();
    }));
});
