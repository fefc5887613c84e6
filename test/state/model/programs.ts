import assert from "node:assert/strict";
import fc from "fast-check";
import { clearMutants, type MutantName, setMutant } from "../../../src/state/mutants.js";
import { v1 } from "../../../src/wire/index.js";
import { isParked, type World } from "../harness.js";
import type { ModelLease } from "./lease-book.js";

/** What a model says of a call: it waits, it is done, or the code with which it is refused. */
export type Answer = "wait" | "done" | v1.ErrorCode;

/** A step at a range of one of the client's handles. */
export interface LockStep {
  readonly op: "lock" | "unlock";
  readonly client: number;
  readonly pick: number;
  readonly offset: number;
  readonly length: number;
  readonly exclusive: boolean;
}

/** Fails unless the machine's result is what the model says. */
export function sameAnswer(answer: Answer, result: v1.ICommandResult): void {
  const { ErrorCode } = v1;
  const machine = result.error ? ErrorCode[result.error.code ?? 0] : isParked(result) ? "wait" : "done";
  assert.equal(machine, typeof answer === "number" ? ErrorCode[answer] : answer, result.error?.message ?? "");
}

/** Fails unless the machine's record of a lease is what the model knows of it; no record: one without rights. */
export function sameLease(lease: ModelLease, record: v1.ILeaseRecord | undefined): void {
  const { breaking } = lease;
  assert.deepEqual(
    {
      state: record?.state ?? 0,
      epoch: record?.epoch ?? 0,
      breaking: record?.breaking ?? false,
      stored: record?.stored ?? false,
      required: record?.breakToRequired ?? 0,
    },
    {
      state: lease.state,
      epoch: lease.epoch,
      breaking: breaking !== null,
      stored: breaking?.stored ?? false,
      required: breaking?.required ?? 0,
    },
    `${lease.key} on ${lease.path}`,
  );
}

/** The share mode of three bits: read, write, delete. */
export function shareModeOf(share: number): v1.IShareMode {
  return { read: (share & 1) !== 0, write: (share & 2) !== 0, delete: (share & 4) !== 0 };
}

/** The name of a client's lease key on a file; key 0 is none. */
export function leaseKeyOf({ client, path, key }: { client: number; path: number; key: number }): string {
  return key === 0 ? "" : `k${client}${path}${key}`;
}

/** A node that was killed starts again. */
export function startAgain(world: World, node: string): void {
  world.register(node, (world.machine.node(node)?.incarnation ?? 0) + 1);
}

/** A model beside the machine: takes one step in both, and fails where they do not agree afterwards. */
export interface Sides<Step> {
  step(step: Step): void;
  check(): void;
}

/** Random programs of a model. */
export interface Programs<Step> {
  readonly title: string;
  readonly text: string;
  readonly step: fc.Arbitrary<Step>;
  /** How many programs, unless RUNS says otherwise. */
  readonly runs: number;
  sides(): Sides<Step>;
  /** Planted bugs that have to be noticed within `runs` programs; `shrink`: their program is made small first. */
  readonly notices?: {
    readonly planted: readonly MutantName[];
    readonly runs: number;
    readonly shrink: boolean;
  };
}

/** The tests of a model: SEED and RUNS replay and lengthen, REPORT prints which program noticed a planted bug. */
export function describePrograms<Step>(programs: Programs<Step>): void {
  const seed = Number(process.env["SEED"] ?? 20_261_122);
  const numRuns = Number(process.env["RUNS"] ?? programs.runs);
  const program = fc.property(fc.array(programs.step, { minLength: 10, maxLength: 80 }), (steps) => {
    const sides = programs.sides();
    for (const step of steps) {
      sides.step(step);
      sides.check();
    }
  });

  describe(`${programs.title} (SEED=${seed})`, function () {
    this.timeout(600_000);

    it(programs.text, () => {
      fc.assert(program, { seed, numRuns });
    });

    if (programs.notices === undefined) return;
    const { planted, runs, shrink } = programs.notices;
    describe("notices", () => {
      afterEach(clearMutants);
      for (const name of planted)
        it(name, () => {
          setMutant(name, true);
          const found = fc.check(program, { seed, numRuns: runs, endOnFailure: !shrink });
          assert.ok(found.failed, `not within ${runs} programs (seed ${seed})`);
          if (process.env["REPORT"])
            console.log(`${name}: program ${found.numRuns}, ${found.numShrinks} shrinks`);
        });
    });
  });
}
