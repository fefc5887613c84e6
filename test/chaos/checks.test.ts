import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkRun } from "./checks.js";
import type { Fencing } from "./fences.js";
import { checkFinished } from "./finished.js";
import { journalRecord, type OpRecord } from "./records.js";
import { paintedBlock, stampOf, WALL_BLOCKS } from "./walls.js";

/** Each check is shown a good history and the same with one thing wrong. */
describe("checks of a chaos run", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-checks-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const op = (
    client: number,
    what: OpRecord["op"],
    target: string,
    from: number,
    to: number,
    value?: number,
  ): OpRecord => ({
    client,
    op: what,
    target,
    callUs: from,
    returnUs: to,
    outcome: "done",
    ...(value === undefined ? {} : { value }),
  });
  const counter = (value: number): Buffer => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(BigInt(value), 0);
    return bytes;
  };
  const turn = (client: number, at: number, value: number): OpRecord[] => [
    op(client, "lock", "counter-0", at, at + 10),
    op(client, "increment", "counter-0", at + 11, at + 20, value),
    op(client, "unlock", "counter-0", at + 21, at + 30),
  ];
  const fenced: Fencing = { fence: "command", stops: [] };
  const violations = async (history: OpRecord[], fencing = fenced): Promise<string> =>
    (await checkRun(history, folder, fencing)).violations.join("; ");

  it("accepts two clients that take turns, and sees when they hold one lock at once", async () => {
    await writeFile(join(folder, "counter-0"), counter(2));
    assert.equal(await violations([...turn(1, 0, 0), ...turn(2, 100, 1)]), "");
    assert.match(
      await violations([...turn(1, 0, 0), ...turn(2, 5, 1)]),
      /lock held twice.*not linearizable/s,
    );
  });

  it("sees an acknowledged increment that is lost", async () => {
    await writeFile(join(folder, "counter-0"), counter(1));
    assert.match(await violations([...turn(1, 0, 0), ...turn(2, 100, 0)]), /acknowledged write lost/);
    assert.match(
      await violations([...turn(1, 0, 0), ...turn(2, 100, 1)]),
      /was 1 for the end \(2 increments/,
    );
  });

  it("sees a file that two clients have open although each asked for it alone", async () => {
    const alone = (client: number, at: number): OpRecord[] => [
      op(client, "open", "alone-0", at, at + 10),
      op(client, "close", "alone-0", at + 20, at + 30),
    ];
    const refused: OpRecord = {
      ...op(2, "open", "alone-0", 12, 15),
      outcome: "refused",
      code: "SHARING_VIOLATION",
    };
    assert.equal(await violations([...alone(1, 0), refused, ...alone(2, 100)]), "");
    assert.match(
      await violations([...alone(1, 0), ...alone(2, 5)]),
      /open held twice.*opens of alone-0 are not linearizable/s,
    );
    assert.match(
      await violations([...alone(1, 0), { ...refused, callUs: 50, returnUs: 60 }]),
      /not linearizable/,
    );
  });

  it("lets a client be refused by a file that it may have failed to close", async () => {
    const open = op(1, "open", "alone-0", 0, 10);
    const close: OpRecord = { ...op(1, "close", "alone-0", 20, 30), outcome: "unknown" };
    const refused = (client: number, at: number): OpRecord => ({
      ...op(client, "open", "alone-0", at, at + 5),
      outcome: "refused",
      code: "SHARING_VIOLATION",
    });
    assert.equal(await violations([open, close, refused(1, 40), refused(2, 50)]), "");
    const again = op(2, "open", "alone-0", 60, 65);
    assert.equal(await violations([open, close, refused(1, 40), again]), "");
    assert.match(
      await violations([open, close, again, refused(1, 70), op(1, "open", "alone-0", 80, 85)]),
      /not linearizable/,
    );
  });

  it("leaves the outcome open where the client does not know it", async () => {
    const [lock, increment, unlock] = turn(1, 0, 0) as [OpRecord, OpRecord, OpRecord];
    const unknown: OpRecord = { ...increment, outcome: "unknown" };
    for (const value of [0, 1]) {
      await writeFile(join(folder, "counter-0"), counter(value));
      assert.equal(await violations([lock, unknown, unlock]), "");
    }
    await writeFile(join(folder, "counter-0"), counter(2));
    assert.match(await violations([lock, unknown, unlock]), /was 2 for the end .*0 was due, 1 unknown/);
  });

  it("sees an append that is lost, doubled, torn or out of order", async () => {
    const history = [op(1, "append", "journal-1", 0, 5, 0), op(1, "append", "journal-1", 6, 9, 1)];
    const [first, second] = [journalRecord(1, 0), journalRecord(1, 1)];
    const cases: [string, RegExp][] = [
      [first + second, /^$/],
      [first, /lacks acknowledged record 1/],
      [first + second + second, /twice/],
      [first + second.slice(0, 10), /whole number/],
      [second + first, /out of order/],
      [first + second + journalRecord(2, 7), /nobody wrote/],
    ];
    for (const [content, expected] of cases) {
      await writeFile(join(folder, "journal-1"), content);
      assert.match(await violations(history), expected, content.slice(0, 40));
    }
  });

  it("sees a name that two clients created", async () => {
    await writeFile(join(folder, "claim-3"), "1");
    assert.equal(await violations([op(1, "claim", "claim-3", 0, 5)]), "");
    assert.match(
      await violations([op(1, "claim", "claim-3", 0, 5), op(2, "claim", "claim-3", 9, 12)]),
      /created by client 1 and/,
    );
  });

  it("sees a half-done publication", async () => {
    const history = [op(1, "publish", "published-1-0", 0, 5, 0)];
    await writeFile(join(folder, "published-1-0"), "published-1-0");
    assert.equal(await violations(history), "");
    await writeFile(join(folder, "draft-1-0"), "published-1-0");
    assert.match(await violations(history), /still there beside/);
  });

  const painting = (client: number, sequence: number, at: number, found: number[]): OpRecord => ({
    ...op(client, "paint", "wall", at, at + 10, stampOf(client, sequence)),
    found,
  });
  const blocks = (stamp: number): number[] => Array<number>(WALL_BLOCKS).fill(stamp);
  const leave = (stamps: number[], name = "wall"): Promise<void> =>
    writeFile(join(folder, name), Buffer.concat(stamps.map(paintedBlock)));

  it("sees writes of two owners interleaved, by whoever comes next and at the end", async () => {
    const [first, second, third] = [stampOf(1, 0), stampOf(2, 0), stampOf(1, 1)];
    const history = [
      painting(1, 0, 0, []),
      painting(2, 0, 20, blocks(first)),
      painting(1, 1, 40, blocks(second)),
    ];
    await leave(blocks(third));
    assert.equal(await violations(history), "");
    const mixed = [first, ...blocks(second).slice(1)];
    const between = history.with(2, painting(1, 1, 40, mixed));
    assert.match(await violations(between), /^writes interleaved: client 1 found 1000001 2000001/);
    const all = history.with(2, painting(1, 1, 40, blocks(first)));
    assert.match(await violations(all), /^acknowledged write lost/);
    await leave([...blocks(third).slice(1), second]);
    assert.match(await violations(history), /^writes interleaved: the end found/);
    const torn = Buffer.concat(blocks(third).map(paintedBlock));
    torn.writeBigUInt64LE(7n, 4096 + 8);
    await writeFile(join(folder, "wall"), torn);
    assert.match(await violations(history), /^writes interleaved: the end found 1000002 -1/);
  });

  it("allows any of the blocks of a painting whose outcome nobody knows, until the next one", async () => {
    const [first, second] = [stampOf(1, 0), stampOf(2, 0)];
    const lost: OpRecord = { ...op(2, "paint", "wall", 20, 30, second), outcome: "unknown" };
    await leave([...blocks(first).slice(1), second]);
    assert.equal(await violations([painting(1, 0, 0, []), lost]), "");
    await leave([...blocks(stampOf(1, 1)).slice(1), second]);
    const after = painting(1, 1, 40, [...blocks(first).slice(1), second]);
    assert.match(await violations([painting(1, 0, 0, []), lost, after]), /^writes interleaved: the end/);
  });

  it("counts a late write instead, where no fence keeps it out and a stop of its owner explains it", async () => {
    // Client 1's increment to 1 was under way at n1 when that was stopped, and landed over client 2's to 2.
    const held: OpRecord = { ...op(1, "increment", "counter-0", 0, 50, 0), from: "n1" };
    const history = [
      held,
      op(2, "increment", "counter-0", 60, 70, 1),
      op(3, "increment", "counter-0", 90, 95, 1),
    ];
    await writeFile(join(folder, "counter-0"), counter(2));
    const stop = { node: "n1", fromUs: 10, toUs: 80 };
    const run = (fencing: Fencing, records = history) => checkRun(records, folder, fencing);
    for (const fence of ["none", "copies"] as const) {
      const { violations: wrong, lateWrites, figures } = await run({ fence, stops: [stop] });
      assert.deepEqual(wrong, []);
      assert.match(lateWrites.join("; "), /^counter-0 went back from 2 to 1: a write of client 1 at n1/);
      assert.equal(figures["late writes"], 1);
    }
    const cases: [string, Fencing][] = [
      ["another node was stopped", { fence: "none", stops: [{ ...stop, node: "n2" }] }],
      [
        "the node was stopped after the write was answered",
        { fence: "none", stops: [{ ...stop, fromUs: 51 }] },
      ],
      ["the node has not gone on yet", { fence: "none", stops: [{ ...stop, toUs: 96 }] }],
      ["a fence that kills", { fence: "command", stops: [stop] }],
    ];
    for (const [why, fencing] of cases)
      assert.match((await run(fencing)).violations.join("; "), /^acknowledged write lost/, why);
    // Nothing that it had under way gives this value.
    const other = history.with(2, op(3, "increment", "counter-0", 90, 95, 0));
    assert.match((await run({ fence: "none", stops: [stop] }, other)).violations.join("; "), /write lost/);
  });

  it("with copies allows no late write in a file that nobody else had open", async () => {
    const held: OpRecord = { ...painting(1, 0, 0, []), target: "own-wall-1", from: "n1", returnUs: 50 };
    const next: OpRecord = { ...painting(1, 1, 60, blocks(stampOf(1, 0))), target: "own-wall-1" };
    await leave([...blocks(stampOf(1, 1)).slice(1), stampOf(1, 0)], "own-wall-1");
    const stops = [{ node: "n1", fromUs: 10, toUs: 80 }];
    assert.equal(await violations([held, next], { fence: "none", stops }), "");
    assert.match(await violations([held, next], { fence: "copies", stops }), /^writes interleaved/);
  });

  it("allows no more late writes after one stop than the kernel can have had", async () => {
    const held: OpRecord = { ...painting(1, 0, 0, []), from: "n1", returnUs: 50 };
    const next = painting(2, 0, 60, blocks(stampOf(1, 0)));
    const stops = [{ node: "n1", fromUs: 10, toUs: 80 }];
    await leave([...blocks(stampOf(1, 0)).slice(2), stampOf(2, 0), stampOf(2, 0)]);
    assert.equal(await violations([held, next], { fence: "none", stops }), "");
    await leave([...blocks(stampOf(1, 0)).slice(1), stampOf(2, 0)]);
    assert.match(
      await violations([held, next], { fence: "none", stops }),
      /^5 late writes after one stop of n1/,
    );
  });

  it("sees a client that did not finish", () => {
    const history = [...turn(0, 0, 0), ...turn(1, 100, 1)];
    const ending = { inTime: true, finished: 2, failures: [] };
    assert.deepEqual(checkFinished(history, 2, ending), []);
    const cases: [RegExp, string[]][] = [
      [/not every client finished in time/, checkFinished(history, 2, { ...ending, inTime: false })],
      [/1 of 2 clients finished/, checkFinished(history, 2, { ...ending, finished: 1 })],
      [/none of 2 clients finished/, checkFinished(history, 2, { ...ending, finished: null })],
      [
        /client 1: its session is gone/,
        checkFinished(history, 2, { ...ending, failures: ["client 1: its session is gone"] }),
      ],
      [/client 1 did nothing/, checkFinished(turn(0, 0, 0), 2, ending)],
      [/client 1 ended in the middle: its lock of counter-0/, checkFinished(history.slice(0, 5), 2, ending)],
    ];
    for (const [expected, found] of cases) {
      assert.equal(found.length, 1, found.join("; "));
      assert.match(found[0] ?? "", expected);
    }
  });
});
