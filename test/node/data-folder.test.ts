import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareDataFolder } from "../../src/node/data-folder.js";
import { NODE_EXIT, NodeExitError } from "../../src/node/exit-codes.js";

describe("the data folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-folder-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("is made", () => {
    prepareDataFolder(join(folder, "a", "b"));
    prepareDataFolder(join(folder, "a", "b"));
  });

  it("in which no file can be opened for writing ends the start with 73, whatever its access bits say", () => {
    // As after an error of the disk, when the kernel has made the file system read-only.
    mkdirSync(join(folder, "c", "log"), { recursive: true });
    assert.throws(
      () => prepareDataFolder(join(folder, "c")),
      (error: unknown) =>
        error instanceof NodeExitError &&
        error.exitCode === NODE_EXIT.dataUnwritable &&
        error.line.includes(join(folder, "c")),
    );
  });
});
