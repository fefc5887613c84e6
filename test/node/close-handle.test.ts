import assert from "node:assert/strict";
import { closeHandle } from "../../src/node/admin/close-handle.js";
import type { Replica } from "../../src/replica/api.js";
import { ErrorCode, errorDetail, HoldfastError } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";

const TIMEOUT_MS = 5_000;

/** A log that gives these refusals in turn, the last one for ever; null: it worked. */
function rig(...answers: readonly (ErrorCode | null)[]) {
  const world = { nowMs: 0, asked: [] as v1.ICommand[], pauses: [] as number[] };
  const record = { closeReason: "closed by ops" };
  const propose = (command: v1.ICommand): Promise<v1.ICommandResult> => {
    const code = answers[Math.min(world.asked.length, answers.length - 1)] ?? null;
    world.asked.push(command);
    return Promise.resolve(code === null ? { handle: record } : { error: errorDetail(code, "refused") });
  };
  const replica = { propose, state: { handle: () => record } } as unknown as Replica;
  const parts = {
    replica,
    clock: { monotonicMs: () => world.nowMs, wallMs: () => 0 },
    timeoutMs: TIMEOUT_MS,
  };
  const sleep = (ms: number): Promise<void> => {
    world.pauses.push(ms);
    world.nowMs += ms;
    return Promise.resolve();
  };
  const close = () => closeHandle(parts, { handleId: new Uint8Array(16), reason: "stuck" }, sleep);
  return { world, close, record };
}

const isCode = (code: ErrorCode) => (error: unknown) => error instanceof HoldfastError && error.code === code;

describe("an operator closes a handle", () => {
  it("at once where nobody has it in use", async () => {
    const { world, close, record } = rig(null);
    assert.deepEqual((await close()).handle, record);
    assert.equal(world.asked.length, 1);
    assert.equal(world.asked[0]?.forceClose?.whenIdle, true);
    assert.equal(world.asked[0]?.forceClose?.reason, "stuck");
  });

  for (const gone of [ErrorCode.NO_CHANGE, ErrorCode.UNKNOWN_HANDLE])
    it(`is answered when its owner has closed it, which shows as ${ErrorCode[gone]}`, async () => {
      const { world, close, record } = rig(ErrorCode.NOT_READY, ErrorCode.NOT_READY, gone);
      assert.deepEqual((await close()).handle, record);
      assert.deepEqual(world.pauses, [20, 40]);
    });

  it("that was closed before is told so, and an unknown one too", async () => {
    for (const code of [ErrorCode.NO_CHANGE, ErrorCode.UNKNOWN_HANDLE])
      await assert.rejects(rig(code).close(), isCode(code));
  });

  it("is not asked for longer than a call lasts, nor often", async () => {
    const { world, close } = rig(ErrorCode.NOT_READY);
    await assert.rejects(close(), isCode(ErrorCode.NOT_READY));
    assert.ok(world.nowMs <= TIMEOUT_MS, `${world.nowMs} ms`);
    assert.ok(world.asked.length < 20, `${world.asked.length} entries of the log`);
  });
});
