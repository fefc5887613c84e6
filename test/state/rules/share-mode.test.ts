import assert from "node:assert/strict";
import { Access, accessGroups, ALL_ACCESS, specificAccess } from "../../../src/state/rules/access.js";
import { sharesConflict } from "../../../src/state/rules/share-mode.js";

const ACCESS = { R: Access.readData, W: Access.writeData, D: Access.delete } as const;
const NAMES = ["R", "W", "D"] as const;

function mask(bits: number): number {
  return NAMES.reduce((all, name, i) => (bits & (1 << i) ? all | ACCESS[name] : all), 0);
}

describe("rules: share modes (semantics F1)", () => {
  it("all 8 x 8 accesses by 8 x 8 share modes: each wanted right must be shared by the other, both ways", () => {
    for (let cell = 0; cell < 4096; cell++) {
      const [wantA, shareA, wantB, shareB] = [cell & 7, (cell >> 3) & 7, (cell >> 6) & 7, cell >> 9];
      const expected = wantA !== 0 && wantB !== 0 && ((wantA & ~shareB) !== 0 || (wantB & ~shareA) !== 0);
      const a = { access: mask(wantA), share: shareA };
      const b = { access: mask(wantB), share: shareB };
      assert.equal(sharesConflict(a, b), expected, cell.toString(8));
    }
  });

  it("EXECUTE counts as read, APPEND as write, attributes as nothing", () => {
    assert.equal(accessGroups(Access.execute), accessGroups(Access.readData));
    assert.equal(accessGroups(Access.appendData), accessGroups(Access.writeData));
    const nothing =
      Access.readAttributes |
      Access.writeAttributes |
      Access.readControl |
      Access.synchronize |
      Access.readEa;
    assert.equal(accessGroups(nothing), 0);
  });

  it("generic rights become specific ones", () => {
    assert.equal(specificAccess(Access.genericAll), ALL_ACCESS);
    assert.equal(specificAccess(Access.maximumAllowed), ALL_ACCESS);
    assert.equal(accessGroups(specificAccess(Access.genericRead)), 1);
    assert.equal(accessGroups(specificAccess(Access.genericWrite)), 2);
    assert.equal(specificAccess(Access.genericExecute) & Access.readData, Access.readData);
    assert.equal(specificAccess(0x0400_0000), 0, "unknown bits are dropped");
  });
});
