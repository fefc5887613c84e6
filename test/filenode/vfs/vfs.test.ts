import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PosixVfs } from "../../../src/filenode/vfs/posix-vfs.js";
import { MemoryShare } from "../../../src/testing/memory-share.js";
import { MemoryVfs } from "../../../src/testing/memory-vfs.js";
import { vfsConformance } from "../../../src/testing/vfs-conformance.js";

describe("a share in memory", () => {
  for (const { name, run } of vfsConformance)
    it(name, () => run(new MemoryVfs(new MemoryShare(() => 1_700_000_000_000), "n1")));
});

describe("a share in a directory", () => {
  for (const { name, run } of vfsConformance)
    it(name, async () => {
      const root = await mkdtemp(join(tmpdir(), "holdfast-vfs-"));
      const vfs = await PosixVfs.open(root);
      try {
        await run(vfs);
      } finally {
        await vfs.close();
        await rm(root, { recursive: true });
      }
    });
});
