import assert from "node:assert/strict";
import fc from "fast-check";
import { Changer, type ChangeResult, configError } from "../../src/raft/conf/changer.js";
import { type Config, EMPTY_CONFIG, fromConfState, toConfState } from "../../src/raft/conf/config.js";
import { restoreConfig } from "../../src/raft/conf/restore.js";
import {
  ConfChangeKind,
  ConfTransition,
  decodeConfChange,
  describeChanges,
  encodeConfChange,
  Entry,
  EntryKind,
  InvariantError,
  LEAVE_JOINT,
  NO_LIMIT,
  parseChanges,
} from "../../src/raft/index.js";
import { Tracker } from "../../src/raft/progress/tracker.js";
import { check } from "./support/property.js";

const SETTINGS = { inflightMessagesMax: 10, inflightBytesMax: NO_LIMIT, session: 0 };

const kinds = fc.constantFrom(
  ConfChangeKind.AddVoter,
  ConfChangeKind.AddLearner,
  ConfChangeKind.RemoveNode,
  ConfChangeKind.UpdateNode,
);
const single = fc.record({ kind: kinds, id: fc.integer({ min: 1, max: 6 }) });
const changes = fc.array(single, { maxLength: 6 });
const founders = fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 });

interface State {
  readonly config: Config;
  readonly tracker: Tracker;
}

function changer({ config, tracker }: State): Changer {
  return new Changer(config, tracker, 10, SETTINGS);
}

function taken(result: ChangeResult): State {
  assert.ok(result.ok, result.ok ? "" : result.error);
  return result;
}

function founded(voters: readonly number[]): State {
  let state: State = { config: EMPTY_CONFIG, tracker: new Tracker() };
  for (const id of voters) state = taken(changer(state).simple([{ kind: ConfChangeKind.AddVoter, id }]));
  return state;
}

describe("raft membership changes", () => {
  it("through a joint configuration and one by one lead to the same configuration", () => {
    check(
      fc.property(founders, changes, (voters, list) => {
        const start = founded(voters);
        const joint = changer(start).enterJoint(false, list);
        let one: State | null = start;
        for (const change of list) {
          const next: ChangeResult = changer(one).simple([change]);
          // One by one may pass through a configuration without voters, which joint changes never show.
          if (!next.ok) return;
          one = next;
        }
        assert.ok(joint.ok, joint.ok ? "" : joint.error);
        const left = taken(changer(joint).leaveJoint());
        assert.deepEqual(toConfState(left.config), toConfState(one.config));
        assert.deepEqual(left.tracker.ids, one.tracker.ids);
        assert.equal(configError(left.config, left.tracker), null);
      }),
      1000,
    );
  });

  it("leave everything as it was when they are refused", () => {
    check(
      fc.property(founders, changes, (voters, list) => {
        const start = founded(voters);
        const before = JSON.stringify([start.config, start.tracker]);
        changer(start).simple(list);
        changer(start).enterJoint(true, list);
        changer(start).leaveJoint();
        assert.equal(JSON.stringify([start.config, start.tracker]), before);
      }),
    );
  });

  it("survive storage: a joint configuration comes back as it was", () => {
    check(
      fc.property(founders, changes, (voters, list) => {
        const joint = changer(founded(voters)).enterJoint(true, list);
        if (!joint.ok) return;
        const state = toConfState(joint.config);
        assert.deepEqual(toConfState(restoreConfig(state, 10, SETTINGS).config), state);
        assert.deepEqual(toConfState(fromConfState(state)), state);
      }),
    );
  });

  it("a stored configuration that cannot be is refused", () => {
    const state = { voters: [1], votersOutgoing: [], learners: [1], learnersNext: [], autoLeave: false };
    assert.throws(() => restoreConfig(state, 1, SETTINGS), InvariantError);
  });
});

describe("raft membership changes: encoding", () => {
  it("round trips, context included", () => {
    const transition = fc.constantFrom(
      ConfTransition.Auto,
      ConfTransition.JointImplicit,
      ConfTransition.JointExplicit,
    );
    const id = fc.integer({ min: 1, max: 2 ** 32 - 1 });
    const list = fc.array(fc.record({ kind: kinds, id }, { noNullPrototype: true }), { maxLength: 20 });
    check(
      fc.property(transition, list, fc.uint8Array({ maxLength: 40 }), (how, what, context) => {
        const change = { transition: how, changes: what, context };
        const entry = new Entry(1, 1, EntryKind.ConfChangeV2, encodeConfChange(change));
        const back = decodeConfChange(entry);
        assert.deepEqual({ ...back, context: Uint8Array.from(back.context) }, change);
        assert.deepEqual(parseChanges(describeChanges(what)), what);
      }),
    );
  });

  it("leaving a joint configuration takes no bytes, so that no limit can refuse it", () => {
    assert.equal(encodeConfChange(LEAVE_JOINT).length, 0);
    assert.deepEqual(
      decodeConfChange(new Entry(1, 1, EntryKind.ConfChangeV2, new Uint8Array(0))),
      LEAVE_JOINT,
    );
  });

  it("garbage is refused", () => {
    for (const data of [
      [2, 0, 0],
      [1, 9, 0],
      [1, 0, 1],
      [1, 0, 1, 7, 1, 0, 0, 0],
    ]) {
      const entry = new Entry(1, 1, EntryKind.ConfChangeV2, Uint8Array.from(data));
      assert.throws(() => decodeConfChange(entry), RangeError);
    }
    assert.throws(() => parseChanges("x1"), RangeError);
  });
});
