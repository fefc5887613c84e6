import assert from "node:assert/strict";
import { baseName, clientName, clientPath, parentOf } from "../../src/filenode/paths.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { limits } from "../../src/wire/limits.js";

function refused(path: string, why: RegExp): void {
  assert.throws(
    () => clientPath(path),
    (error) => {
      assert.ok(error instanceof HoldfastError);
      assert.equal(error.code, ErrorCode.OBJECT_NAME_INVALID);
      assert.match(error.message, why);
      return true;
    },
  );
}

describe("paths of clients", () => {
  it("are split at slashes; the empty one is the share", () => {
    assert.deepEqual(clientPath(""), []);
    assert.deepEqual(clientPath("a"), ["a"]);
    assert.deepEqual(clientPath("a/b c/ü"), ["a", "b c", "ü"]);
    assert.deepEqual(clientPath("..a/.b/c..d"), ["..a", ".b", "c..d"]);
  });

  it("never lead out", () => {
    refused("/etc/passwd", /absolute/);
    refused("/", /absolute/);
    refused("..", /part "\.\."/);
    refused("a/../b", /part "\.\."/);
    refused("a/.", /part "\."/);
    refused("a//b", /empty part/);
    refused("a/", /empty part/);
  });

  it("hold text only", () => {
    refused("a\0b", /NUL/);
    refused("a\uD800b", /UTF-8/);
    refused("a\uFFFDb", /UTF-8/);
  });

  it("keep out of Holdfast's own names", () => {
    refused(".holdfast", /keeps for itself/);
    refused("a/.holdfast-tmp", /keeps for itself/);
    assert.deepEqual(clientPath("holdfast/.hold"), ["holdfast", ".hold"]);
  });

  it("end at their limits, in bytes", () => {
    const name = "x".repeat(limits.nameBytesMax);
    assert.deepEqual(clientPath(name), [name]);
    refused(`${name}x`, /longer than 255/);
    const wide = "ü".repeat(127);
    assert.deepEqual(clientPath(`${wide}x`), [`${wide}x`]);
    refused("ü".repeat(128), /longer than 255/);
    const parts = `${"a".repeat(254)}/`.repeat(16);
    assert.equal(clientPath(`${parts}${"b".repeat(limits.pathBytesMax - parts.length)}`).length, 17);
    refused(`${parts}${"b".repeat(limits.pathBytesMax - parts.length + 1)}`, /longer than 4096/);
  });

  it("need a name where something is made or removed", () => {
    assert.throws(() => clientName(""), /names the share itself/);
    assert.deepEqual(clientName("a"), ["a"]);
  });

  it("have parents", () => {
    assert.equal(parentOf("a/b/c"), "a/b");
    assert.equal(parentOf("a"), "");
    assert.equal(baseName("a/b/c"), "c");
    assert.equal(baseName("a"), "a");
  });
});
