import assert from "node:assert/strict";
import {
  ExactlyOnce,
  LockExclusion,
  Ownership,
  RegisterOracle,
  WitnessPromises,
} from "../../src/testing/checkers/index.js";
import { Violation } from "../../src/testing/sim/simulation.js";

function caught(run: () => void, checker: string): void {
  assert.throws(run, (error) => error instanceof Violation && error.checker === checker);
}

describe("checkers of the domain and of clients", () => {
  it("ownership: two owners under one epoch, or serving at once", () => {
    const checker = new Ownership();
    checker.owns("s1", 1, "n1/1");
    caught(() => checker.owns("s1", 1, "n2/1"), "one owner an epoch");
    checker.served("s1", 1, "n1/1", 100, 200);
    checker.served("s1", 2, "n2/1", 200, 250);
    caught(() => checker.served("s1", 1, "n1/1", 190, 201), "two owners at once");
    const late = new Ownership();
    late.served("s1", 1, "n1/1", 100, 200);
    caught(() => late.served("s1", 2, "n2/1", 150, 160), "two owners at once");
    late.served("s2", 2, "n2/1", 150, 160);
  });

  it("lock exclusion: conflicting ranges of two holders", () => {
    const checker = new LockExclusion();
    checker.granted("f", "h1", { start: 0, end: 10 }, true);
    checker.granted("f", "h2", { start: 10, end: 20 }, true);
    checker.granted("g", "h2", { start: 0, end: 10 }, true);
    caught(() => checker.granted("f", "h3", { start: 9, end: 11 }, false), "no lock held twice");
    checker.releasing("f", "h1", { start: 0, end: 10 });
    checker.gone("h2");
    checker.granted("f", "h3", { start: 0, end: 30 }, false);
    checker.granted("f", "h4", { start: 0, end: 30 }, false);
    caught(() => checker.granted("f", "h5", { start: 3, end: 4 }, true), "no lock held twice");
  });

  it("witness: a registration at the owner, revisions and moves that go back, a move that is known to be over", () => {
    const checker = new WitnessPromises();
    const registered = { revision: 0, epoch: 0 };
    const known = { owner: "n1", epoch: 2 };
    checker.notice("n2", registered, { registrationId: "r", revision: 0 }, known);
    const move = (node: string, epoch: number) => ({ to: { node }, epoch });
    checker.notice("n2", registered, { revision: 9, move: move("n1", 2) }, known);
    caught(() => checker.notice("n2", registered, { revision: 8 }, known), "witness");
    caught(() => checker.notice("n2", registered, { revision: 9, move: move("n3", 1) }, known), "witness");
    caught(() => checker.notice("n2", registered, { revision: 9, move: move("n3", 2) }, known), "witness");
    caught(() => checker.notice("n1", { revision: 0, epoch: 0 }, { registrationId: "r" }, known), "witness");
    checker.notice("n1", { revision: 0, epoch: 0 }, { registrationId: "r", error: {} }, known);
  });

  it("exactly once: a second execution, an acknowledgement without one", () => {
    const checker = new ExactlyOnce();
    checker.executes("r1", "5");
    checker.executes("r1", "5");
    caught(() => checker.executes("r1", "6"), "exactly once");
    checker.acknowledge("r1");
    checker.finish();
    checker.acknowledge("r2");
    caught(() => checker.finish(), "acknowledged write lost");
  });

  it("register oracle: phantom, repetition, stale read, wrong value, wrong order, lost write", () => {
    const oracle = new RegisterOracle();
    const first = oracle.begins(1);
    oracle.logged(0, 1, 10);
    oracle.writeAnswered(first, 0, 1, 10, 0);
    const second = oracle.begins(2);
    oracle.logged(0, 2, 11);
    oracle.writeAnswered(second, 0, 2, 11, 1);
    const read = oracle.begins(0);
    oracle.readAnswered(read, 0, 11, 2);
    caught(() => oracle.readAnswered(read, 0, 10, 1), "stale read");
    caught(() => oracle.readAnswered(read, 0, 12, 1), "client oracle");
    caught(() => oracle.logged(0, 99, 12), "client oracle");
    caught(() => oracle.logged(0, 2, 12), "exactly once");
    const third = oracle.begins(3);
    oracle.logged(1, 3, 13);
    caught(() => oracle.writeAnswered(third, 1, 3, 12, 0), "client oracle");
    caught(() => oracle.writeAnswered(third, 1, 3, 13, 7), "client oracle");
    caught(() => oracle.writeAnswered({ floor: 13 }, 1, 3, 13, 0), "real time order");
    oracle.writeAnswered(third, 1, 3, 13, 0);
    oracle.finish(13);
    caught(() => oracle.finish(12), "acknowledged write lost");
  });
});
