import assert from "node:assert/strict";
import { HandleRow } from "../../../src/state/tables/handles.js";
import { SessionRow, sessionRecord } from "../../../src/state/tables/sessions.js";
import { v1 } from "../../../src/wire/index.js";

function row(): HandleRow {
  return new HandleRow("0123456789abcdef", new SessionRow(sessionRecord({ id: 1 })));
}

/** The values that each of the fields in one number may have. */
const VALUES = {
  state: Object.values(v1.HandleState).filter((value) => typeof value === "number"),
  kind: Object.values(v1.HandleKind).filter((value) => typeof value === "number"),
  createAction: Object.values(v1.CreateAction).filter((value) => typeof value === "number"),
  shareBits: [0, 1, 2, 3, 4, 5, 6, 7],
  directory: [false, true],
  replayEligible: [false, true],
  deleteInitial: [false, true],
  deleteSet: [false, true],
};
type Field = keyof typeof VALUES;
const FIELDS = Object.keys(VALUES) as Field[];

describe("the small fields of a handle", () => {
  it("each keep every value of theirs, whatever the others hold", () => {
    for (const others of ["first", "last"] as const)
      for (const field of FIELDS)
        for (const value of VALUES[field]) {
          const handle: Record<Field, unknown> = row();
          const expected = new Map<Field, unknown>();
          for (const other of FIELDS) expected.set(other, VALUES[other].at(others === "first" ? 0 : -1));
          for (const [other, set] of expected) handle[other] = set;
          handle[field] = value;
          expected.set(field, value);
          for (const [other, set] of expected)
            assert.equal(handle[other], set, `${other} after ${field} = ${value}`);
        }
  });

  it("refuse what does not fit, and keep what they had", () => {
    const handle = row();
    handle.shareBits = 5;
    for (const wrong of [8, -1])
      assert.throws(() => (handle.shareBits = wrong), /broken invariant.*shareBits/);
    for (const field of ["state", "kind", "createAction"] as const)
      assert.throws(() => Object.assign(handle, { [field]: 16 }), new RegExp(`broken invariant.*${field}`));
    assert.equal(handle.shareBits, 5);
    assert.equal(handle.state, 0);
  });

  it("survive the disk", () => {
    const handle = row();
    const set: Partial<Record<Field, unknown>> = {};
    for (const field of FIELDS) set[field] = VALUES[field].at(-1);
    Object.assign(handle, set);
    const read = HandleRow.fromRecord(v1.HandleRecord.decode(handle.encode()), handle.session);
    for (const field of FIELDS) assert.equal(read[field], set[field], field);
  });
});
