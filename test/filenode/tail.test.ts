import assert from "node:assert/strict";
import { withFilenodeMutant } from "../../src/filenode/mutants.js";
import { clearMutants, setMutant } from "../../src/state/mutants.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { guidOf, quiet, TestClient, type TestNode, World } from "./world.js";

const HERS = guidOf("f");
const HIS = new Uint8Array(16).fill(5);
const bytes = (text: string) => new TextEncoder().encode(text);
const D = v1.Disposition;

/** A call that resolving may take back by cutting the file, and what its file then is. */
interface Cut {
  readonly name: string;
  readonly request: (handle: v1.IHandleId | null) => v1.IFileRequest;
  /** What a reader sees once it took effect. */
  readonly effect: (before: string) => string;
}

const CUTS: readonly Cut[] = [
  {
    name: "append",
    request: (handle) => ({ write: { handle, append: true, data: bytes("+more") } }),
    effect: (before) => `${before}+more`,
  },
  {
    name: "truncate",
    request: (handle) => ({ setInfo: { handle, endOfFile: 3 } }),
    effect: (before) => before.slice(0, 3),
  },
  {
    name: "overwrite",
    request: () => ({
      open: {
        share: "demo",
        path: "f",
        desiredAccess: 3,
        shareMode: { read: true, write: true, delete: true },
        disposition: D.OVERWRITE,
        createGuid: new Uint8Array(16).fill(9),
        kind: v1.HandleKind.PERSISTENT,
      },
    }),
    effect: () => "",
  },
];

const never = () => new Promise<never>(() => {});

const WRITE = { offset: 9, text: "BOB" };

function written(before: string): string {
  const padded = before.padEnd(WRITE.offset, "\0");
  return padded.slice(0, WRITE.offset) + WRITE.text + padded.slice(WRITE.offset + WRITE.text.length);
}

interface Run {
  /** Operations of the first node on its share, once the call was sent. */
  readonly steps: number;
}

/**
 * The first node dies at one step of the call (0: never), and a writer with a handle of his own, at the same node or at
 * another one, looks and then writes at another step. Both ask again until they are answered.
 */
async function run(cut: Cut, sameNode: boolean, dieAt: number, writeAt: number): Promise<Run> {
  let steps = 0;
  let counting = false;
  let dead = false;
  let over = false;
  let atStep: () => Promise<void> = quiet;
  const world = new World();
  world.init();
  const n1 = await world.start("n1", {
    faults: async (_operation, path) => {
      if (dead) return never();
      if (!counting || path.startsWith(".holdfast/canary")) return;
      // Counted before it takes effect and after it did.
      steps += 1;
      const here = steps;
      // The writer comes as far as he can meanwhile.
      if (here === writeAt) await atStep();
      if (here !== dieAt) return;
      dead = true;
      world.kill(n1);
      return never();
    },
  });
  const n2 = await world.start("n2");
  const alice = await TestClient.make(1).open(n1);
  const hers = await alice.openFile("f");
  await alice.write(hers, 0, "content");
  const bob = await TestClient.make(2).open(sameNode ? n1 : n2);
  const his = await bob.openFile("f", { createGuid: HIS });
  const writer = async () => {
    const seen = await lookAndWrite(world, bob, his, n2);
    // His handle, left disconnected, would keep an overwrite away.
    while (!over && bob.servedBy === "n1") {
      if (dead) await comeBack(bob, his, n2);
      else await quiet();
    }
    return seen;
  };
  const writes: Promise<string>[] = [];
  const begin = () => {
    if (writes.length === 0) writes.push(writer());
  };
  atStep = () => {
    begin();
    return quiet();
  };
  counting = true;
  if (writeAt === 0) begin();
  const answer = await untilAnswered(world, alice, n2, cut.request(hers.handle ?? null), hers, HERS);
  counting = false;
  over = true;
  begin();
  const [seen = ""] = await Promise.all(writes);
  await quiet();
  check(cut, seen, await content(n2), answer);
  return { steps };
}

function check(cut: Cut, seen: string, found: string, answer: v1.IFileResponse): void {
  const before = "content";
  const cutFirst = written(cut.effect(before));
  const writeFirst = cut.effect(written(before));
  // Who has seen that it took effect, and was answered afterwards, finds his write.
  const allowed = seen === before ? [cutFirst, writeFirst] : [cutFirst];
  assert.ok(allowed.includes(found), `${JSON.stringify(found)} after ${JSON.stringify(seen)} was seen`);
  if (!answer.write) return;
  const offset = found === cutFirst && found !== writeFirst ? 7 : 12;
  assert.equal(Number(answer.write.offset), offset, `answered for ${JSON.stringify(found)}`);
}

async function content(node: TestNode): Promise<string> {
  const file = await node.vfs.open("f", { write: false });
  try {
    return new TextDecoder().decode(await file.read(0, 4096));
  } finally {
    await file.close();
  }
}

async function lookAndWrite(
  world: World,
  bob: TestClient,
  his: v1.IOpenReply,
  n2: TestNode,
): Promise<string> {
  const seen = await content(n2);
  const write = (handle: v1.IHandleId | null) => ({
    write: { handle, offset: WRITE.offset, data: bytes(WRITE.text) },
  });
  const response = await untilAnswered(world, bob, n2, write(his.handle ?? null), his, HIS);
  assert.equal(response.write?.written, WRITE.text.length);
  return seen;
}

async function comeBack(bob: TestClient, his: v1.IOpenReply, n2: TestNode): Promise<void> {
  bob.hangUp();
  while ((await bob.resume(n2)).error) await quiet();
  await bob.reconnect(his, "f", HIS);
}

/** As the client library does it: on a lost owner it comes back at the other node, and says the same again. */
async function untilAnswered(
  world: World,
  client: TestClient,
  n2: TestNode,
  request: v1.IFileRequest,
  open: v1.IOpenReply,
  guid: Uint8Array,
): Promise<v1.IFileResponse> {
  const id = client.requestId();
  let handle = open.handle ?? null;
  let asked = client.ask(request, { request: id });
  for (let tries = 0; tries < 400; tries++) {
    const response = await Promise.race([asked, owner(world, client), quiet().then(() => null)]);
    if (response !== null && response !== "lost" && !response.error) return response;
    if (response === null) {
      world.time.advance(50);
      continue;
    }
    if (response === "lost" || gone(response)) {
      client.hangUp();
      if ((await client.resume(n2)).error) continue;
      handle = (await client.reconnect(open, "f", guid)).handle ?? null;
    } else await quiet();
    asked = client.ask(withHandle(request, handle), { request: id, replay: true });
  }
  throw new Error(`no answer: ${JSON.stringify(request)}`);
}

const AGAIN = new Set([ErrorCode.NOT_READY, ErrorCode.OUTCOME_UNKNOWN, ErrorCode.FILE_NOT_AVAILABLE]);
const LOST = new Set([ErrorCode.LEASE_LOST, ErrorCode.NOT_OWNER, ErrorCode.STALE_EPOCH]);

function gone(response: v1.IFileResponse): boolean {
  const code = response.error?.code ?? 0;
  if (LOST.has(code)) return true;
  assert.ok(AGAIN.has(code), response.error?.message ?? "");
  return false;
}

/** "lost" once the session's node is dead: nothing that was asked there is answered any more. */
async function owner(world: World, client: TestClient): Promise<"lost" | null> {
  const served = client.servedBy;
  if (served !== "n1" || world.nodes.get("n1")?.lease.held !== false) return never();
  return "lost";
}

function withHandle(request: v1.IFileRequest, handle: v1.IHandleId | null): v1.IFileRequest {
  if (request.write) return { write: { ...request.write, handle } };
  if (request.setInfo) return { setInfo: { ...request.setInfo, handle } };
  return request;
}

/** Every step at which the owner may die, against every step at which the writer may write. */
async function everyPair(cut: Cut, sameNode: boolean): Promise<number> {
  const { steps } = await run(cut, sameNode, 0, 0);
  let runs = 0;
  for (let dieAt = 0; dieAt <= steps; dieAt++)
    for (let writeAt = 0; writeAt <= (dieAt || steps); writeAt++) {
      await run(cut, sameNode, dieAt, writeAt).catch((error: unknown) => {
        throw new Error(`dead at step ${dieAt}, written at step ${writeAt}: ${String(error)}`, {
          cause: error,
        });
      });
      runs += 1;
    }
  return runs;
}

describe("a plain write beside an append or a cut that is taken back", function () {
  this.timeout(120_000);
  afterEach(clearMutants);

  for (const cut of CUTS)
    for (const sameNode of [true, false]) {
      const where = sameNode ? "the same node" : "another node";
      it(`is kept: ${cut.name}, written at ${where}, at each step and death`, async () => {
        assert.ok((await everyPair(cut, sameNode)) > 20);
      });
    }

  it("waits although one before it, that ends where the append begins, was let go", async () => {
    let holds: "stat" | "write" | null = null;
    let letGo = () => {};
    const world = new World();
    world.init();
    const n1 = await world.start("n1", {
      faults: (operation, path, phase) => {
        if (path !== "f" || operation !== holds || phase !== (operation === "stat" ? "after" : "before"))
          return;
        return new Promise<void>((resolve) => (letGo = resolve));
      },
    });
    const n2 = await world.start("n2");
    const alice = await TestClient.make(1).open(n1);
    const hers = await alice.openFile("f");
    await alice.write(hers, 0, "content");
    const bob = await TestClient.make(2).open(n2);
    const his = await bob.openFile("f", { createGuid: HIS });
    const append = { write: { handle: hers.handle ?? null, append: true, data: bytes("+more") } };
    holds = "stat";
    const appended = alice.ask(append, { request: alice.requestId() });
    await quiet();
    // Behind the end that the appender has seen: its append is moved to 10, while his node has closed the file from 7 on.
    await bob.write(his, 7, "bob");
    holds = "write";
    letGo();
    await quiet();
    await bob.write(his, 7, "BOB");
    let answered = false;
    const late = bob.write(his, 12, "late").then(() => (answered = true));
    await quiet();
    assert.equal(answered, false, "the append at 10 may be taken back still");
    letGo();
    assert.equal(Number((await appended).write?.offset), 10);
    await late;
    assert.equal(await content(n2), "contentBOB+mlate");
  });

  it("would be lost if others wrote where it is taken back", async () => {
    setMutant("tailOpen", true);
    for (const cut of CUTS) await assert.rejects(everyPair(cut, false), /dead at step/, cut.name);
  });

  it("would be lost if the same node wrote there", async () => {
    await withFilenodeMutant("writeBesideCut", async () => {
      for (const cut of CUTS) await assert.rejects(everyPair(cut, true), /dead at step/, cut.name);
    });
  });
});
