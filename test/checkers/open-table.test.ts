import assert from "node:assert/strict";
import { type OpenOperation, OpenHistory } from "../../src/testing/cluster-world/open-history.js";
import {
  checkLinearizable,
  exclude,
  type OpenMode,
  openTableModel,
} from "../../src/testing/linearizability/index.js";
import { Prng, SeedTree } from "../../src/testing/sim/prng.js";
import { draftCalls } from "./drafts.js";

const BUDGET = 300_000;
const ALONE: OpenMode = { access: 3, share: 0 };
const WRITER: OpenMode = { access: 3, share: 1 };
const READER: OpenMode = { access: 1, share: 3 };
const STRICT_READER: OpenMode = { access: 1, share: 1 };
const REMOVER: OpenMode = { access: 4, share: 7 };
const MODES = [ALONE, WRITER, READER, STRICT_READER, REMOVER];

const seed = Number(process.env.SEED ?? 20261122);

/** Linearizable by construction: each call takes effect at a point of its interval, in a table that is kept here. */
function goodHistory(prng: Prng, length: number, clients: number, unknownRate: number): OpenOperation[] {
  const drafts = draftCalls(prng, length, clients, () => ({
    mode: prng.pick(MODES),
    close: prng.chance(0.5),
  }));
  const held = new Map<string, { mode: OpenMode; client: number }>();
  const history: OpenOperation[] = [];
  for (const draft of drafts) {
    const { client, callUs } = draft;
    const { mode, close } = draft.call;
    const unknown = prng.chance(unknownRate);
    const returnUs = unknown ? Infinity : draft.returnUs;
    const mine = [...held].find(([, holding]) => holding.client === client)?.[0];
    if (close && mine !== undefined) {
      held.delete(mine);
      const output = unknown ? null : { done: true };
      history.push({ client, callUs, returnUs, output, input: { file: "f", end: true, holder: mine } });
      continue;
    }
    const holder = `h${history.length}`;
    const done = ![...held.values()].some((holding) => exclude(holding.mode, mode));
    if (done) held.set(holder, { mode, client });
    const input = { file: "f", open: mode, holder };
    history.push({ client, callUs, returnUs, input, output: unknown ? null : { done } });
  }
  return history;
}

function verdict(history: readonly OpenOperation[]): string {
  return checkLinearizable(history, openTableModel, BUDGET).verdict;
}

describe(`linearizability of opens (seed ${seed})`, () => {
  it("accepts generated histories, with and without unknown outcomes", () => {
    const prng = new SeedTree(seed).stream("good opens");
    for (let round = 0; round < 60; round++) {
      const history = goodHistory(prng, 150, prng.between(2, 5), round % 3 === 0 ? 0.05 : 0);
      assert.equal(verdict(history), "linearizable", `round ${round}`);
    }
  });

  it("finds one falsified answer in a history without overlap", () => {
    const prng = new SeedTree(seed).stream("bad opens");
    for (let round = 0; round < 60; round++) {
      const history = goodHistory(prng, 80, 1, 0);
      const opens = history.filter(({ input }) => "open" in input);
      const victim = history.indexOf(prng.pick(opens));
      const old = history[victim] as OpenOperation;
      history[victim] = { ...old, output: { done: old.output?.done !== true } };
      assert.equal(verdict(history), "not-linearizable", `round ${round}`);
    }
  });

  it("finds one open that was granted beside one that excludes it, among concurrent calls", () => {
    const prng = new SeedTree(seed).stream("intruders");
    for (let round = 0; round < 60; round++) {
      const history = goodHistory(prng, 100, prng.between(2, 5), 0);
      const ends = new Map(history.map((each) => ["end" in each.input ? each.input.holder : "", each]));
      const victims = history.filter(
        ({ input, output, returnUs }) =>
          "open" in input && output?.done && (ends.get(input.holder)?.callUs ?? Infinity) > returnUs + 2,
      );
      const victim = prng.pick(victims);
      const at = victim.returnUs + 1;
      const input = { file: "f", open: ALONE, holder: "intruder" };
      history.push({ client: 99, input, callUs: at, returnUs: at, output: { done: true } });
      assert.equal(verdict(history), "not-linearizable", `round ${round}`);
    }
  });

  it("checks share modes both ways, and never for opens without rights", () => {
    assert.ok(exclude(READER, ALONE));
    assert.ok(exclude(ALONE, READER));
    assert.ok(exclude(STRICT_READER, WRITER), "the reader does not share writing");
    assert.ok(!exclude(READER, WRITER));
    assert.ok(exclude(WRITER, WRITER));
    assert.ok(exclude(READER, REMOVER), "the reader does not share deletion");
    assert.ok(!exclude(ALONE, { access: 0, share: 0 }));
  });
});

describe("history of opens", () => {
  const ask = (client: number, callUs: number, mode = ALONE) => ({
    client,
    file: "f",
    holder: `${client}@${callUs}`,
    mode,
    callUs,
  });

  it("lets nobody in before the timeout of a client that went away, and anybody after it", () => {
    for (const [atUs, fits] of [
      [900_000, false],
      [1_000_000, true],
    ] as const) {
      const history = new OpenHistory();
      history.granted(ask(1, 0), 10, 1_000_000);
      history.granted(ask(2, atUs), atUs + 10, 1_000_000);
      if (fits) assert.equal(history.check(BUDGET).linearizable, 1);
      else assert.throws(() => history.check(BUDGET), /linearizable opens|without a place/);
    }
  });

  it("counts the timeout from when the client was last heard", () => {
    const history = new OpenHistory();
    const holding = history.granted(ask(1, 0), 10, 1_000_000);
    history.heard(holding, 500_000, 1_000_000);
    history.granted(ask(2, 1_000_000), 1_000_010, 1_000_000);
    assert.throws(() => history.check(BUDGET), /without a place/);
  });

  it("takes a close that was answered as an end, and one that was not as a possible end", () => {
    for (const returnUs of [30, Number.POSITIVE_INFINITY]) {
      const history = new OpenHistory();
      const holding = history.granted(ask(1, 0), 10, 1_000_000);
      holding.closed = { callUs: 20, returnUs };
      history.granted(ask(2, 40), 50, 1_000_000);
      assert.equal(history.check(BUDGET).linearizable, 1);
    }
  });

  it("does not take a refusal for granted after the holder's close was answered", () => {
    const history = new OpenHistory();
    history.granted(ask(1, 0), 10, 1_000_000).closed = { callUs: 20, returnUs: 30 };
    history.refused(ask(2, 40), 50);
    assert.throws(() => history.check(BUDGET), /without a place/);
  });

  it("lets an open of unknown outcome come to be late, refuse others, and end", () => {
    const history = new OpenHistory();
    history.unknown(ask(1, 0));
    history.granted(ask(2, 10), 20, 1_000_000).closed = { callUs: 30, returnUs: 40 };
    history.refused(ask(3, 50), 60);
    history.granted(ask(4, 70), 80, 1_000_000);
    assert.equal(history.check(BUDGET).linearizable, 1);
    history.refused(ask(5, 90), 100);
    history.granted(ask(6, 110), 120, 1_000_000);
    assert.throws(() => history.check(BUDGET), /without a place/);
  });

  it("counts an open that is under way as one that may have come to be, from its start on", () => {
    for (const [atUs, fits] of [
      [10, true],
      [30, false],
    ] as const) {
      const history = new OpenHistory();
      history.asked(ask(1, atUs));
      history.refused(ask(2, 20), 25);
      if (fits) assert.equal(history.check(BUDGET).linearizable, 1);
      else assert.throws(() => history.check(BUDGET), /without a place/);
    }
  });

  it("lets an open that is under way end again, or never come to be, but not excuse two others", () => {
    const history = new OpenHistory();
    history.asked(ask(1, 0));
    history.refused(ask(2, 10), 15);
    history.granted(ask(3, 20), 25, 1_000_000);
    assert.equal(history.check(BUDGET).linearizable, 1);
    history.granted(ask(4, 30), 35, 1_000_000);
    assert.throws(() => history.check(BUDGET), /without a place: 3@20|without a place: 4@30/);
  });

  it("counts an open once that is answered", () => {
    const answers: readonly ((history: OpenHistory, asked: ReturnType<typeof ask>) => void)[] = [
      (history, asked) => history.refused(asked, 5),
      (history, asked) => history.nothingDone(asked),
    ];
    for (const answer of answers) {
      const history = new OpenHistory();
      const asked = ask(1, 0);
      history.asked(asked);
      answer(history, asked);
      history.refused(ask(2, 10), 15);
      assert.throws(() => history.check(BUDGET), /without a place/);
    }
    const history = new OpenHistory();
    const asked = ask(1, 0);
    history.asked(asked);
    history.granted(asked, 5, 1_000_000).closed = { callUs: 6, returnUs: 7 };
    history.refused(ask(2, 10), 15);
    assert.throws(() => history.check(BUDGET), /without a place/);
  });

  it("checks each file by itself", () => {
    const history = new OpenHistory();
    history.granted(ask(1, 0), 10, 1_000_000);
    history.granted({ ...ask(2, 20), file: "g" }, 30, 1_000_000);
    assert.equal(history.check(BUDGET).linearizable, 2);
  });
});
