import assert from "node:assert/strict";
import { LockHistory } from "../../src/testing/cluster-world/lock-history.js";
import type { RangeLockInput } from "../../src/testing/linearizability/index.js";
import { type Prng, SeedTree } from "../../src/testing/sim/prng.js";
import { Violation } from "../../src/testing/sim/simulation.js";

const BUDGET = 300_000;
const BYTES = 10;
const seed = Number(process.env.SEED ?? 20261122);

const lock = (holder: string, start: number, end: number, exclusive = true): RangeLockInput => ({
  lock: { start, end },
  exclusive,
  holder,
});
const unlock = (holder: string, start: number, end: number): RangeLockInput => ({
  unlock: { start, end },
  holder,
});

/** A history whose calls are begun and answered at times that the test sets. */
class Script {
  readonly history = new LockHistory();
  nowUs = 0;

  /** Begins a call; the function that is answered ends it. Those that are never ended are under way for good. */
  begin(client: number, input: RangeLockInput, atUs: number): (atUs: number, done: boolean) => Promise<void> {
    let answer: (done: boolean) => void = () => {};
    this.nowUs = atUs;
    const recorded = this.history.recorded(
      client,
      input,
      () => this.nowUs,
      () => new Promise((resolve) => (answer = resolve)),
    );
    return async (returnUs, done) => {
      this.nowUs = returnUs;
      answer(done);
      await recorded;
    };
  }

  async call(client: number, input: RangeLockInput, done: boolean, callUs: number): Promise<void> {
    await this.begin(client, input, callUs)(callUs + 1, done);
  }

  fits(): boolean {
    try {
      assert.ok(this.history.check(BUDGET), "undecided");
      return true;
    } catch (error) {
      if (error instanceof Violation) return false;
      throw error;
    }
  }
}

describe("history of range locks", () => {
  it("holds a call from its start on, with an open outcome until it is answered", async () => {
    const script = new Script();
    const input = lock("a", 0, 4);
    const end = script.begin(1, input, 5);
    const open = { client: 1, input, callUs: 5, returnUs: Number.POSITIVE_INFINITY, output: null };
    assert.deepEqual(script.history.operations, [open]);
    await end(9, true);
    assert.deepEqual(script.history.operations, [{ ...open, returnUs: 9, output: { done: true } }]);
  });

  it("leaves open whether a call happened that ended with an error", async () => {
    const { history } = new Script();
    const failing = history.recorded(
      1,
      lock("a", 0, 4),
      () => 3,
      () => Promise.reject(new Error("lost")),
    );
    await assert.rejects(failing, /lost/);
    const [call] = history.operations;
    assert.equal(history.operations.length, 1);
    assert.deepEqual([call?.callUs, call?.returnUs, call?.output], [3, Number.POSITIVE_INFINITY, null]);
  });

  it("lets a lock that is under way refuse others, and only from its start on", async () => {
    for (const [atUs, fits] of [
      [10, true],
      [30, false],
    ] as const) {
      const script = new Script();
      script.begin(1, lock("a", 0, 4), atUs);
      await script.call(2, lock("b", 3, 5), false, 20);
      assert.equal(script.fits(), fits, `asked for at ${atUs}, refused at 20`);
    }
  });

  it("lets an unlock or a close that is under way free what it frees, and nothing else", async () => {
    for (const [input, fits] of [
      [unlock("a", 0, 4), true],
      [{ close: true, holder: "a" }, true],
      [unlock("a", 0, 3), false],
      [{ close: true, holder: "c" }, false],
    ] as const) {
      const script = new Script();
      await script.call(1, lock("a", 0, 4), true, 0);
      script.begin(1, input, 10);
      await script.call(2, lock("b", 3, 5), true, 20);
      assert.equal(script.fits(), fits, JSON.stringify(input));
    }
  });

  it("does not let a call under way take effect before it was sent", async () => {
    const script = new Script();
    await script.call(1, lock("a", 0, 4), true, 0);
    await script.call(2, lock("b", 3, 5), true, 20);
    script.begin(1, unlock("a", 0, 4), 30);
    assert.throws(() => script.history.check(BUDGET), /without a place: b locks 3-5 alone/);
  });
});

interface Grant {
  readonly holder: string;
  readonly start: number;
  readonly end: number;
  readonly exclusive: boolean;
}

/** A client of the generated histories. */
interface Locker {
  readonly id: number;
  opens: number;
  gone: boolean;
  held: Grant[];
}

/** A lock of which it is certain that it was held in between. */
interface Certain {
  readonly grant: Grant;
  readonly fromUs: number;
  untilUs: number;
}

/**
 * Locks and unlocks that take effect one after the other, in a table kept here, where many are never answered: the client
 * waits for the answer until the end of the run.
 */
async function generated(prng: Prng, length: number): Promise<{ script: Script; certain: Certain[] }> {
  const script = new Script();
  const certain: Certain[] = [];
  const lockers: Locker[] = Array.from({ length: 6 }, (_, id) => ({ id, opens: 1, gone: false, held: [] }));
  for (let n = 0, atUs = 0; n < length; n++, atUs += 10) {
    const there = lockers.filter(({ gone }) => !gone);
    if (there.length === 0) break;
    const locker = prng.pick(there);
    // Two of them always hear an answer, so that something is known to the end.
    const silent = locker.id >= 2 && prng.chance(0.15);
    locker.gone = silent;
    const holder = `${locker.id}.${locker.opens}`;
    const given = prng.chance(0.5) ? locker.held.shift() : undefined;
    if (given !== undefined) {
      const mine = certain.find(({ grant }) => grant === given);
      if (mine !== undefined) mine.untilUs = atUs;
      const end = script.begin(locker.id, unlock(holder, given.start, given.end), atUs);
      if (!silent) await end(atUs + 5, true);
      // Whether the unlock of one who is silent took effect: both are correct.
      else if (prng.chance(0.5)) locker.held.push(given);
      continue;
    }
    const start = prng.below(BYTES - 1);
    const grant = {
      holder,
      start,
      end: start + prng.between(1, Math.min(3, BYTES - start)),
      exclusive: prng.chance(0.6),
    };
    const meets = (held: Grant): boolean =>
      held.start < grant.end &&
      grant.start < held.end &&
      (held.exclusive ? held.holder !== holder || grant.exclusive : grant.exclusive);
    const done = !lockers.some(({ held }) => held.some(meets));
    const end = script.begin(locker.id, lock(holder, grant.start, grant.end, grant.exclusive), atUs);
    if (done && !(silent && prng.chance(0.3))) locker.held.push(grant);
    if (silent) continue;
    await end(atUs + 5, done);
    if (done) certain.push({ grant, fromUs: atUs + 5, untilUs: Number.POSITIVE_INFINITY });
  }
  return { script, certain };
}

describe(`generated histories of range locks, with calls that never end (seed ${seed})`, () => {
  it("fit into an order", async () => {
    const prng = new SeedTree(seed).stream("good locks");
    for (let round = 0; round < 60; round++) {
      const { script } = await generated(prng, 80);
      const silent = script.history.operations.filter(({ output }) => output === null);
      assert.ok(round > 0 || silent.length > 0, "nobody was silent");
      assert.ok(script.fits(), `round ${round}`);
    }
  });

  it("do not when one range was granted to somebody else as well", async () => {
    const prng = new SeedTree(seed).stream("bad locks");
    for (let round = 0; round < 60; round++) {
      const { script, certain } = await generated(prng, 80);
      const victim = prng.pick(certain.filter(({ fromUs, untilUs }) => untilUs > fromUs + 3));
      const { start, end } = victim.grant;
      await script.call(99, lock("intruder", start, end), true, victim.fromUs + 1);
      assert.ok(!script.fits(), `round ${round}`);
    }
  });

  it("do not when a call is left out that never ended", async () => {
    const prng = new SeedTree(seed).stream("left out");
    let blamed = 0;
    for (let round = 0; round < 60; round++) {
      const { script } = await generated(prng, 80);
      const ended = new Script();
      for (const { client, input, callUs, output } of script.history.operations)
        if (output !== null) await ended.call(client, input, output.done, callUs);
      if (!ended.fits()) blamed++;
    }
    assert.ok(blamed > 20, `${blamed} of 60 histories need their unfinished calls`);
  });
});
