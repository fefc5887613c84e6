import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkRun } from "./checks.js";
import { journalRecord, type OpRecord } from "./records.js";

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
  const violations = async (history: OpRecord[]): Promise<string> =>
    (await checkRun(history, folder)).violations.join("; ");

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
    assert.match(await violations([...turn(1, 0, 0), ...turn(2, 100, 1)]), /holds 1; 2 increments/);
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

  it("leaves the outcome open where the client does not know it", async () => {
    const [lock, increment, unlock] = turn(1, 0, 0) as [OpRecord, OpRecord, OpRecord];
    const unknown: OpRecord = { ...increment, outcome: "unknown" };
    for (const value of [0, 1]) {
      await writeFile(join(folder, "counter-0"), counter(value));
      assert.equal(await violations([lock, unknown, unlock]), "");
    }
    await writeFile(join(folder, "counter-0"), counter(2));
    assert.match(await violations([lock, unknown, unlock]), /holds 2/);
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
});
