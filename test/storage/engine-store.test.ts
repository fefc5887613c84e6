import assert from "node:assert/strict";
import type { Scheduler, WriteOp } from "../../src/runtime/index.js";
import { EngineStore, type KvEngine } from "../../src/storage/index.js";

const OPS: WriteOp[] = [{ type: "put", key: Buffer.from("k"), value: Buffer.from("v") }];

/** Lets everything happen that waits for promises alone. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

/** A store whose engines do what the test says, and the steps that were seen, in order. */
function bench(close: () => Promise<void>, roomIsMade = true) {
  const steps: string[] = [];
  const timers = new Map<number, () => void>();
  const scheduler: Scheduler = {
    after: (delayMs, run) => {
      timers.set(delayMs, run);
      return { cancel: () => timers.delete(delayMs) };
    },
    soon: (run) => queueMicrotask(run),
  };
  const engine = (error: Error | null): KvEngine => ({
    synced: 0,
    get: () => Promise.resolve(null),
    iterate: () => {
      throw new Error("nobody reads here");
    },
    write: (_ops, _number, done) => {
      steps.push(error === null ? "written" : "no space");
      queueMicrotask(() => done(error));
    },
    close: () => {
      steps.push("closed");
      return close();
    },
  });
  const store = new EngineStore(engine(new Error("IO error: No space left on device: 000004.log")), {
    reopen: () => {
      steps.push("opened");
      return Promise.resolve(engine(null));
    },
    makeRoom: roomIsMade
      ? () => {
          steps.push("room made");
          return Promise.resolve(true);
        }
      : null,
    scheduler,
    witness: { acknowledge: () => undefined, close: () => undefined },
  });
  const results: (Error | null)[] = [];
  store.write(OPS, { sync: true }, (error) => results.push(error));
  const fire = async (delayMs: number): Promise<void> => {
    const run = timers.get(delayMs);
    assert.ok(run, `something waits ${delayMs} ms`);
    timers.delete(delayMs);
    run();
    await settle();
  };
  return { steps, timers, results, fire, store };
}

describe("EngineStore on a disk without space", () => {
  it("leaves the database alone at first, then closes it, makes room, opens it and writes the same batch", async () => {
    const { steps, timers, results, fire } = bench(() => Promise.resolve());
    await settle();
    assert.deepEqual(steps, ["no space"], "a database that is mending itself is not closed");
    await fire(250);
    assert.deepEqual(steps, ["no space", "closed", "room made", "opened", "written"]);
    assert.deepEqual([results, timers.size], [[null], 0]);
  });

  it("leaves it alone at first where nobody makes room and its owner closes it, too", async () => {
    const { steps, results, fire, store } = bench(() => Promise.resolve(), false);
    await settle();
    assert.match(String(results[0]), /disk is full/);
    const closed = store.close();
    await settle();
    assert.deepEqual(steps, ["no space"], "a database that is mending itself is not closed");
    await fire(250);
    await closed;
    assert.deepEqual(steps, ["no space", "closed"]);
  });

  it("fails for good when the database does not end closing", async () => {
    const { steps, results, fire, store } = bench(() => new Promise(() => undefined));
    await settle();
    await fire(250);
    assert.deepEqual([steps, results], [["no space", "closed"], []]);
    await fire(10_000);
    assert.match(String(results[0]), /could not be closed within 10000 ms/);
    store.write(OPS, { sync: true }, (error) => results.push(error));
    await settle();
    assert.match(String(results[1]), /could not be closed/, "nothing is written after it");
  });
});
