import assert from "node:assert/strict";
import { coordinatorDefaults } from "../../src/coordinator/config.js";
import { WatchHub } from "../../src/coordinator/watch-hub.js";
import type { v1 } from "../../src/wire/index.js";
import { World } from "../replica/world.js";

function hubWith(overrides: Partial<typeof coordinatorDefaults> = {}) {
  const world = new World();
  const at = { applied: 10 };
  const config = { ...coordinatorDefaults, raftId: 1, name: "n1", clusterId: "c", ...overrides };
  const hub = new WatchHub(
    config,
    world.scheduler,
    at.applied,
    () => at.applied,
    () => "c",
  );
  const emit = (revision: number, ...events: v1.IEvent[]): void => {
    at.applied = revision;
    hub.push(
      events.map((event, ordinal) => ({ ...event, revision, ordinal })),
      revision,
    );
  };
  return { world, hub, emit, at };
}

/** A subscriber that notes what it gets; `takes` says how many answers it can hold before it is blocked. */
function subscriber(takes = Infinity) {
  const got: v1.IWatchResponse[] = [];
  const state = { takes };
  return {
    got,
    state,
    sink: (response: v1.IWatchResponse): boolean => {
      got.push(response);
      return --state.takes > 0;
    },
    revisions: () => got.flatMap((r) => (r.events ?? []).map((e) => Number(e.revision))),
  };
}

const all = { node: "", kinds: new Set<string>() };

describe("watch", () => {
  it("gives events in order, those of its node and of all, filtered by kind", () => {
    const { hub, emit } = hubWith();
    const one = subscriber();
    const kinds = subscriber();
    hub.watch(0, { node: "a", kinds: new Set() }, one.sink);
    hub.watch(0, { node: "a", kinds: new Set(["x"]) }, kinds.sink);
    emit(11, { kind: "x", node: "a" });
    emit(12, { kind: "y", node: "b" });
    emit(13, { kind: "y" });
    emit(14, { kind: "x" }, { kind: "y" });
    assert.deepEqual(one.revisions(), [11, 13, 14, 14]);
    assert.deepEqual(kinds.revisions(), [11, 14]);
  });

  it("shows a watch of one session its own events with everybody's, in one answer", () => {
    const { hub, emit } = hubWith();
    const [seven, eight] = [subscriber(), subscriber()];
    hub.watch(0, { node: "", kinds: new Set(), session: 7 }, seven.sink);
    const watch = hub.watch(0, { node: "", kinds: new Set(), session: 8 }, eight.sink);
    emit(11, { kind: "down" }, { kind: "moved", sessionId: 7 }, { kind: "moved", sessionId: 9 });
    emit(12, { kind: "moved", sessionId: 9 });
    emit(13, { kind: "moved", sessionId: 8 });
    const shown = (one: typeof seven) =>
      one.got
        .filter((r) => r.events?.length)
        .map((r) => (r.events ?? []).map((e) => `${e.kind} ${e.sessionId ?? ""}`));
    assert.deepEqual(shown(seven), [["down ", "moved 7"]]);
    assert.deepEqual(shown(eight), [["down "], ["moved 8"]]);
    hub.unwatch(watch);
    emit(14, { kind: "moved", sessionId: 8 }, { kind: "moved", sessionId: 7 });
    assert.equal(shown(eight).length, 2);
    assert.equal(shown(seven).length, 2);
  });

  it("resumes after a revision: none left out, none twice", () => {
    const { hub, emit } = hubWith();
    for (let revision = 11; revision <= 30; revision++) emit(revision, { kind: "x" });
    for (let from = 10; from <= 30; from++) {
      const late = subscriber();
      const watch = hub.watch(from, all, late.sink);
      assert.deepEqual(
        late.revisions(),
        Array.from({ length: 30 - from }, (_, i) => from + 1 + i),
      );
      hub.unwatch(watch);
    }
  });

  it("tells a watch to load anew when its revision is not kept, is of the future, or a snapshot came", () => {
    const { hub, emit } = hubWith({ eventsKeptMax: 5 });
    for (let revision = 11; revision <= 30; revision++) emit(revision, { kind: "x" });
    for (const [from, resync] of [
      [9, true],
      [24, true],
      [25, false],
      [31, true],
    ] as const) {
      const late = subscriber();
      hub.unwatch(hub.watch(from, all, late.sink));
      assert.equal(late.got[0]?.resync ?? false, resync, `from ${from}`);
    }
    const present = subscriber();
    hub.watch(30, all, present.sink);
    hub.resync(50);
    assert.equal(present.got.at(-1)?.resync, true);
    assert.equal(present.got.at(-1)?.progressRevision, 50);
  });

  it("queues for a slow watch up to its bound, then tells it to load anew instead of skipping silently", () => {
    const { hub, emit, at } = hubWith({ watchQueueMax: 3 });
    const slow = subscriber(2);
    const watch = hub.watch(0, all, slow.sink);
    emit(11, { kind: "x" });
    assert.equal(slow.got.length, 2);
    for (const revision of [12, 13, 14]) emit(revision, { kind: "x" });
    slow.state.takes = 2;
    watch.resume();
    assert.deepEqual(slow.revisions(), [11, 12, 13, 14]);
    slow.state.takes = 1;
    emit(15, { kind: "x" });
    for (const revision of [16, 17, 18, 19]) emit(revision, { kind: "x" });
    at.applied = 19;
    slow.state.takes = 10;
    watch.resume();
    const last = slow.got.at(-1);
    assert.equal(last?.resync, true);
    assert.equal(last?.progressRevision, 19);
    assert.deepEqual(slow.revisions(), [11, 12, 13, 14, 15]);
    emit(20, { kind: "x" });
    assert.deepEqual(slow.revisions().at(-1), 20);
  });

  it("hears something at least every progress interval, and nothing after its end", async () => {
    const { world, hub } = hubWith({ watchProgressMs: 1_000 });
    const idle = subscriber();
    const watch = hub.watch(0, all, idle.sink);
    await world.pass(3_500);
    assert.equal(idle.got.filter((r) => r.progressRevision === 10).length, 4);
    hub.unwatch(watch);
    const before = idle.got.length;
    await world.pass(3_000);
    assert.equal(idle.got.length, before);
  });
});
