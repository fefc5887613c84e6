import assert from "node:assert/strict";
import { v1 } from "../../src/wire/index.js";

describe("absent 64-bit fields", () => {
  it("read as the number zero, made or decoded", () => {
    assert.equal(new v1.Fence().epoch, 0);
    assert.equal(v1.Fence.decode(new Uint8Array()).epoch, 0);
  });
});
