import assert from "node:assert/strict";
import { LoopWatch, PromMeter, memoryMeter, type Scheduler } from "../../src/runtime/index.js";

describe("PromMeter", () => {
  it("exports counters, gauges and histograms under the prefix, with their labels and help", async () => {
    const meter = new PromMeter();
    meter.describe("proposals", "Commands proposed here");
    meter.count("proposals");
    meter.count("proposals", 2);
    meter.count("frames_total", 5, { peer: "n2" });
    meter.gauge("term", 7);
    meter.observe("fsync_ms", 3);
    meter.observe("fsync_ms", 300);
    const text = await meter.text();
    assert.match(text, /# HELP holdfast_proposals_total Commands proposed here/);
    assert.match(text, /^holdfast_proposals_total 3$/m);
    assert.match(text, /^holdfast_frames_total\{peer="n2"\} 5$/m);
    assert.match(text, /^holdfast_term 7$/m);
    assert.match(text, /^holdfast_fsync_ms_bucket\{le="4"\} 1$/m);
    assert.match(text, /^holdfast_fsync_ms_count 2$/m);
    assert.match(text, /^holdfast_meter_misuse_total 0$/m);
  });

  it("counts misuse instead of throwing", async () => {
    const meter = new PromMeter();
    meter.count("a", 1, { x: "1" });
    meter.count("a", 1, { y: "1" });
    meter.count("a", -1, { x: "1" });
    meter.gauge("bad name", 1);
    const text = await meter.text();
    assert.match(text, /^holdfast_a_total\{x="1"\} 1$/m);
    assert.match(text, /^holdfast_meter_misuse_total 3$/m);
  });
});

describe("LoopWatch", () => {
  it("observes how late its timer runs and tells of a stall", () => {
    let now = 0;
    let due: (() => void) | null = null;
    const scheduler: Scheduler = {
      after: (_, run) => {
        due = run;
        return { cancel: () => (due = null) };
      },
      soon: () => {},
    };
    const meter = memoryMeter();
    const stalls: number[] = [];
    const watch = new LoopWatch(
      { clock: { monotonicMs: () => now, wallMs: () => 0 }, scheduler, meter },
      { intervalMs: 20, stallMs: 100, onStall: (lateMs) => stalls.push(lateMs) },
    );
    for (const passedMs of [20, 25, 170]) {
      now += passedMs;
      (due as (() => void) | null)?.();
    }
    assert.deepEqual(meter.observations.get("event_loop_delay_ms"), [0, 5, 150]);
    assert.deepEqual(stalls, [150]);
    assert.equal(meter.counter("event_loop_stalls"), 1);
    watch.stop();
    assert.equal(due, null);
  });
});
