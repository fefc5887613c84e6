import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { CallStream } from "../../src/coordinator/call-stream.js";
import type { Coordinator } from "../../src/coordinator/index.js";
import type { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";

type Done = (result: v1.ICommandResult) => void;

/** The server's side of a stream without a wire. */
class FakeCall extends EventEmitter {
  readonly written: v1.ICoordinatorResponse[] = [];
  paused = false;
  ends = 0;
  write(response: v1.ICoordinatorResponse): void {
    this.written.push(response);
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.ends += 1;
  }
}

const endOfTurn = () => new Promise<void>((resume) => setImmediate(resume));

function serve(streamInFlightMax: number) {
  const begun: Done[] = [];
  const coordinator = {
    config: { streamInFlightMax },
    executeWith: (_command: v1.ICommand, _deadline: undefined, done: Done) => void begun.push(done),
    query: () => Promise.resolve({ revision: 5 }),
  } as unknown as Coordinator;
  const call = new FakeCall();
  new CallStream(coordinator, call as never);
  return { begun, call, frame: (request: v1.ICoordinatorRequest) => void call.emit("data", request) };
}

const calls = (from: number, count: number): v1.ICoordinatorRequest[] =>
  Array.from({ length: count }, (_, i) => ({ id: from + i, command: {} }));

describe("call stream", () => {
  it("answers one by one whoever has not said that it takes more", async () => {
    const { begun, call, frame } = serve(10);
    for (const request of calls(1, 3)) frame(request);
    for (const done of begun) done({ revision: 1 });
    await endOfTurn();
    assert.deepEqual(
      call.written.map((answer) => [answer.id, answer.answers, answer.frameCallsMax]),
      [1, 2, 3].map((id) => [id, undefined, undefined]),
    );
  });

  it("answers the calls of a frame in one frame, and says in the first answer what it takes itself", async () => {
    const { begun, call, frame } = serve(10);
    frame({ id: 1, query: { cluster: {} }, frameCallsMax: 100 });
    await endOfTurn();
    assert.equal(call.written[0]?.id, 1);
    assert.equal(call.written[0]?.frameCallsMax, limits.frameCallsMax);
    frame({ calls: calls(2, 3) });
    for (const done of begun) done({ revision: 1 });
    await endOfTurn();
    assert.deepEqual(
      call.written.slice(1).map((answer) => answer.answers?.map(({ id }) => id)),
      [[2, 3, 4]],
    );
    assert.equal(call.written[1]?.frameCallsMax, undefined);
  });

  it("keeps the limit of calls under way within a frame, and goes on with the rest as answers leave", async () => {
    const { begun, call, frame } = serve(2);
    frame({ calls: calls(1, 5), frameCallsMax: 100 });
    assert.equal(begun.length, 2);
    assert.ok(call.paused);
    call.emit("end");
    for (let i = 0; i < 5; i++) {
      assert.ok(call.paused, `with ${5 - i} calls left and 2 allowed it must not read on`);
      assert.equal(begun.length, Math.min(5, i + 2));
      assert.equal(call.ends, 0);
      begun[i]?.({ revision: 1 });
      if (i === 3) break;
    }
    assert.ok(!call.paused);
    begun[4]?.({ revision: 1 });
    assert.equal(call.ends, 1);
    assert.deepEqual(
      call.written.flatMap((answer) => answer.answers ?? [answer]).map(({ id }) => id),
      [1, 2, 3, 4, 5],
    );
  });

  it("takes a frame at its limit and ends the stream at one call more", () => {
    const { begun, call, frame } = serve(1_000);
    let error: Error | null = null;
    call.on("error", (thrown: Error) => (error = thrown));
    frame({ calls: calls(1, limits.frameCallsMax) });
    assert.equal(begun.length, limits.frameCallsMax);
    assert.equal(error, null);
    frame({ calls: calls(1, limits.frameCallsMax + 1) });
    assert.equal(begun.length, limits.frameCallsMax);
    assert.match(JSON.stringify(error), /257 calls; at most 256/);
  });

  it("writes nothing on a stream that is gone, whatever is answered later", async () => {
    const { begun, call, frame } = serve(10);
    frame({ calls: calls(1, 2), frameCallsMax: 100 });
    begun[0]?.({ revision: 1 });
    call.emit("cancelled");
    begun[1]?.({ revision: 1 });
    await endOfTurn();
    assert.deepEqual(call.written, []);
  });
});
