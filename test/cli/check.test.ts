import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodePid } from "../../src/cli/check/harms.js";

describe("the process that a check may kill", () => {
  let data: string;
  beforeEach(() => {
    data = mkdtempSync(join(tmpdir(), "holdfast-check-"));
    mkdirSync(join(data, "n1"));
  });
  afterEach(() => rmSync(data, { recursive: true, force: true }));

  it("is not one that runs something else under the number of a stale pid file", () => {
    writeFileSync(join(data, "n1", "pid"), `${process.pid}\n`);
    assert.throws(() => nodePid(data, "n1"), /is no node with its folder at .*n1/);
  });

  it("is not one whose pid file is missing or says nothing", () => {
    assert.throws(() => nodePid(data, "n1"), /does not lead to the process of n1/);
    writeFileSync(join(data, "n1", "pid"), "\n");
    assert.throws(() => nodePid(data, "n1"), /n1/);
  });
});
