import assert from "node:assert/strict";
import { failoverGauges } from "../../src/node/failover-metrics.js";
import { PromMeter } from "../../src/runtime/index.js";
import type { v1 } from "../../src/wire/index.js";

const record = (id: number, kind: string, more: v1.IFailoverRecord = {}): v1.IFailoverRecord => ({
  id,
  kind,
  ...more,
});

async function lines(meter: PromMeter): Promise<string[]> {
  return (await meter.text()).split("\n").filter((line) => line.startsWith("holdfast_last_failover"));
}

describe("metrics of failovers", () => {
  it("are the phases of the latest record of each kind, in milliseconds", async () => {
    const meter = new PromMeter();
    const phases = {
      detectUs: 900_000,
      electUs: 50_500,
      fenceUs: 100_000,
      reassignUs: 2_250,
      reclaimUs: 7_000,
    };
    failoverGauges(meter, [
      record(1, "failover", { detectUs: 1 }),
      record(3, "failover", { ...phases, clientGapUs: 1_060_000, sessions: 12, sessionsMeasured: 11 }),
      record(2, "transfer", { fenceUs: 4_000 }),
    ]);
    const told = await lines(meter);
    for (const line of [
      'holdfast_last_failover_id{kind="failover"} 3',
      'holdfast_last_failover_phase_ms{kind="failover",phase="detect"} 900',
      'holdfast_last_failover_phase_ms{kind="failover",phase="elect"} 50.5',
      'holdfast_last_failover_phase_ms{kind="failover",phase="fence"} 100',
      'holdfast_last_failover_phase_ms{kind="failover",phase="reassign"} 2.25',
      'holdfast_last_failover_phase_ms{kind="failover",phase="reclaim"} 7',
      'holdfast_last_failover_client_gap_ms{kind="failover"} 1060',
      'holdfast_last_failover_sessions{kind="failover"} 12',
      'holdfast_last_failover_sessions_measured{kind="failover"} 11',
      'holdfast_last_failover_id{kind="transfer"} 2',
      'holdfast_last_failover_phase_ms{kind="transfer",phase="fence"} 4',
    ])
      assert.ok(told.includes(line), `${line} is not in\n${told.join("\n")}`);
  });

  it("follow a record that gets its figures later, and a newer one", async () => {
    const meter = new PromMeter();
    failoverGauges(meter, [record(1, "failover", { reclaimUs: 0 })]);
    failoverGauges(meter, [record(1, "failover", { reclaimUs: 5_000 })]);
    const reclaim = (told: string[]) => told.find((line) => line.includes('phase="reclaim"'));
    assert.match(reclaim(await lines(meter)) ?? "", / 5$/);
    failoverGauges(meter, [record(1, "failover", { reclaimUs: 5_000 }), record(2, "failover")]);
    assert.match(reclaim(await lines(meter)) ?? "", / 0$/);
  });

  it("are absent while nothing has happened", async () => {
    const meter = new PromMeter();
    failoverGauges(meter, []);
    assert.deepEqual(await lines(meter), []);
  });
});
