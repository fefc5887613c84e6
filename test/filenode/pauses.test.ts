import assert from "node:assert/strict";
import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { Pauses } from "../../src/filenode/pauses.js";
import type { v1 } from "../../src/wire/index.js";
import { quiet, TestTime } from "./world.js";

const SESSION = { id: 7, epoch: 3, movedBy: 1 };

/** The pauses of one node, and what it has noted in the flight recorder. */
function setup() {
  const time = new TestTime();
  const noted: v1.ISessionPause[] = [];
  const coordinator: Pick<CoordinatorClient, "execute"> = {
    execute: async (command) => {
      noted.push(...(command.notePauses?.pauses ?? []));
      return {};
    },
  };
  const pauses = new Pauses({
    runtime: time.runtime(1),
    coordinator: coordinator as CoordinatorClient,
    node: "n2",
    incarnation: () => 1,
  });
  const pass = async (ms: number) => {
    time.advance(ms);
    await quiet();
  };
  /** When the figures had to be sent, at the latest. */
  const first = async () => {
    for (let waited = 0; noted.length === 0 && waited < 2_000; waited += 50) await pass(50);
    return noted[0];
  };
  const now = () => time.runtime(1).clock.monotonicMs();
  return { pauses, pass, first, now };
}

describe("the new owner's figures of a move", () => {
  it("lead up to the move and reclaim from it on, where the client's last answer came before", async () => {
    const { pauses, pass, first, now } = setup();
    pauses.arrived(7, 3);
    await pass(20);
    pauses.clientBack(SESSION, now(), 28_000);
    await pass(5);
    pauses.answered(7);
    pauses.reported(7, 33_000);
    assert.deepEqual(await first(), {
      sessionId: 7,
      epoch: 3,
      leadUs: 8_000,
      reclaimUs: 25_000,
      clientGapUs: 33_000,
    });
  });

  it("count reclaim from the last answer, where the former owner gave it after the move was applied here", async () => {
    const { pauses, pass, first, now } = setup();
    pauses.arrived(7, 3);
    await pass(40);
    pauses.clientBack(SESSION, now(), 15_000);
    await pass(8);
    pauses.answered(7);
    pauses.reported(7, 23_000);
    const { leadUs, reclaimUs } = (await first()) ?? {};
    assert.deepEqual([leadUs, reclaimUs], [1, 23_000], "25 ms of the 48 since the move were no pause");
  });

  it("have no lead where the client was not waiting", async () => {
    const { pauses, pass, first, now } = setup();
    pauses.arrived(7, 3);
    await pass(20);
    pauses.clientBack(SESSION, now(), 0);
    await pass(5);
    pauses.answered(7);
    const { leadUs, reclaimUs, clientGapUs } = (await first()) ?? {};
    assert.deepEqual([leadUs, reclaimUs, clientGapUs], [0, 25_000, 0]);
  });
});
