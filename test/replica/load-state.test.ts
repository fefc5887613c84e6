import assert from "node:assert/strict";
import { loadExit } from "../../src/node/storage-exits.js";
import { loadState } from "../../src/replica/load-state.js";
import type { ReplicaStorage } from "../../src/replica/storage.js";
import type { Scheduler } from "../../src/runtime/api.js";
import { createStateMachine } from "../../src/state/index.js";
import { isDamage } from "../../src/storage/index.js";
import { v1 } from "../../src/wire/index.js";

const SESSION = 0x10;
const HANDLE = 0x20;
const NO_ACTION: number = 17;

/** What a member loads that has these records on its disk. */
function load(records: readonly (readonly [kind: number, value: Uint8Array])[]) {
  const rows = records.map(([kind, value]) => ({ key: Uint8Array.of(kind, 1), value }));
  async function* stateRecords() {
    yield rows;
  }
  const storage = { stateRecords } as unknown as ReplicaStorage;
  const scheduler = { soon: (run: () => void) => setImmediate(run) } as unknown as Scheduler;
  return loadState(storage, createStateMachine, scheduler);
}

describe("loading the state of a member", () => {
  const session = v1.SessionRecord.encode({ id: 1 }).finish();
  const handle = (more: v1.IHandleRecord): Uint8Array =>
    v1.HandleRecord.encode({
      id: new Uint8Array(16).fill(1),
      sessionId: 1,
      state: 2,
      kind: 4,
      ...more,
    }).finish();

  it("takes what it can be", async () => {
    const machine = await load([
      [SESSION, session],
      [HANDLE, handle({ createAction: 2 })],
    ]);
    assert.equal(machine.counts().handles, 1);
  });

  for (const [what, records] of [
    [
      "a create action that does not exist",
      [
        [SESSION, session],
        [HANDLE, handle({ createAction: NO_ACTION })],
      ],
    ],
    ["a handle without its session", [[HANDLE, handle({})]]],
  ] as const) {
    it(`ends with the exit code and the sentence for damage: ${what}`, async () => {
      const thrown = await load(records).then(
        () => null,
        (error: unknown) => error,
      );
      assert.equal(isDamage(thrown), true, String(thrown));
      const exit = loadExit("/data/n1", thrown) as Error & { exitCode: number; next: string };
      assert.equal(exit.exitCode, 66);
      assert.match(exit.message, /^\/data\/n1: the state on disk contradicts itself: /);
      assert.match(exit.next, /members remove NAME/);
    });
  }
});
