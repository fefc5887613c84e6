import assert from "node:assert/strict";
import {
  cleanEffect,
  cleanLeavings,
  performEffect,
  resolveEffect,
} from "../../../src/filenode/effects/index.js";
import { MemoryShare } from "../../../src/testing/memory-share.js";
import { type MemoryOperation, MemoryVfs } from "../../../src/testing/memory-vfs.js";
import { Prng } from "../../../src/testing/sim/prng.js";
import { type ErrorCode, HoldfastError } from "../../../src/wire/errors.js";
import type { v1 } from "../../../src/wire/index.js";
import { build, checkOnce, type Operation, operations } from "./operations.js";

const READS: ReadonlySet<MemoryOperation> = new Set(["stat", "open", "read", "list"]);

class Dead extends Error {}

/** A node's door to the share; the node dies right after its `life`-th change there, and changes nothing any more. */
function mortal(share: MemoryShare, node: string, life: number): MemoryVfs {
  let left = life;
  return new MemoryVfs(share, node, (operation, path, phase) => {
    if (READS.has(operation)) return;
    if (phase === "before" && left === 0) throw new Dead(`${node} is dead`);
    if (phase === "after" && --left === 0) throw new Dead(`${operation} ${path}`);
  });
}

/** When the power fails too. What a dead process wrote is in the kernel otherwise, unsynced, for everybody to see. */
interface Cuts {
  readonly name: string;
  readonly atDeaths: boolean;
  /** Once all is recorded as done. */
  readonly atEnd: boolean;
  readonly seeds: number;
}

const CUTS: readonly Cuts[] = [
  { name: "the power stays", atDeaths: false, atEnd: false, seeds: 1 },
  { name: "the power fails with each", atDeaths: true, atEnd: false, seeds: 8 },
  { name: "the power fails when it is over", atDeaths: false, atEnd: true, seeds: 8 },
];

/** How far one node came: dead at this change, or null; `outcome`: what it could record, undefined: nothing. */
interface Fate {
  readonly died: string | null;
  readonly outcome?: ErrorCode | null;
}

/** Runs the effect, records its outcome and cleans up, as a node does; dies wherever its door says. */
async function work(vfs: MemoryVfs, record: v1.IEffectRecord, run: () => Promise<unknown>): Promise<Fate> {
  let outcome: ErrorCode | null | undefined;
  try {
    outcome = await run().then(
      () => null,
      (error: unknown) => {
        if (error instanceof HoldfastError) return error.code;
        throw error;
      },
    );
    await cleanEffect(vfs, record.id ?? 0, record);
    return { died: null, outcome };
  } catch (error) {
    if (!(error instanceof Dead)) throw error;
    return outcome === undefined ? { died: error.message } : { died: error.message, outcome };
  }
}

/** The first node dies after its `first`-th change, the second after its `second`-th, the third ends it. */
async function threeNodes(
  operation: Operation,
  first: number,
  second: number,
  cuts: Cuts,
  random: Prng,
): Promise<{ readonly firstDied: boolean; readonly secondDied: boolean }> {
  const share = new MemoryShare(() => 1_700_000_000_000);
  const door = (life: number, node: string) => mortal(share, node, life);
  const builder = door(Number.POSITIVE_INFINITY, "n0");
  await build(builder, operation.before);
  const record = { ...(await operation.record(builder)), id: 7 };
  const data = operation.data === undefined ? undefined : new TextEncoder().encode(operation.data);

  const one = door(first, "n1");
  let fate = await work(one, record, () => performEffect(one, record, data));
  const firstDied = fate.died;
  if (fate.died !== null && cuts.atDeaths) share.powerCut(random);
  let secondDied: string | null = null;
  if (fate.outcome === undefined) {
    const two = door(second, "n2");
    fate = await work(two, record, () => resolveEffect(two, record));
    secondDied = fate.died;
    if (fate.died !== null && cuts.atDeaths) share.powerCut(random);
  }
  const three = door(Number.POSITIVE_INFINITY, "n3");
  if (fate.outcome === undefined) fate = await work(three, record, () => resolveEffect(three, record));
  if (cuts.atEnd) share.powerCut(random);
  await cleanLeavings(three, async () => new Set());
  const where = `${operation.name}; first died at: ${firstDied ?? "its end"}; second: ${secondDied ?? "its end"}`;
  assert.notEqual(fate.outcome, undefined, where);
  await checkOnce(three, operation, fate.outcome ?? null, where);
  return { firstDied: firstDied !== null, secondDied: secondDied !== null };
}

/**
 * Named crash points stand between the steps of an operation. Here no step is trusted to be one: a node dies after every
 * single change that it makes on the storage, the one that resolves it too, and a third finishes (semantics.md C4).
 */
describe("an effect whose owner dies after any change on the storage, and whose heir does", () => {
  for (const operation of operations)
    for (const cuts of CUTS)
      it(`${operation.name}: ${cuts.name}`, async () => {
        const from = Number(process.env["SEED"] ?? 1);
        let deaths = 0;
        for (let seed = from; seed < from + cuts.seeds; seed++) {
          const random = new Prng([seed, 0x51ed270b, 0x243f6a88, 0xb7e15162]);
          for (let first = 1, firstDied = true; firstDied; first++)
            for (let second = 1, secondDied = true; secondDied; second++) {
              try {
                ({ firstDied, secondDied } = await threeNodes(operation, first, second, cuts, random));
              } catch (error) {
                throw new Error(`SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, {
                  cause: error,
                });
              }
              if (secondDied) deaths++;
            }
        }
        assert.ok(deaths > 0, "no heir died");
      });
});
