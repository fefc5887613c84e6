import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PosixVfs } from "../../../src/filenode/vfs/posix-vfs.js";
import { refuses } from "../../../src/testing/vfs-conformance.js";
import { ErrorCode, HoldfastError } from "../../../src/wire/errors.js";

describe("no path leads out of a share", () => {
  let base = "";
  let root = "";
  let vfs: PosixVfs;

  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "holdfast-escape-"));
    root = join(base, "share");
    await mkdir(join(root, "dir"), { recursive: true });
    await mkdir(join(base, "outside"));
    await writeFile(join(base, "outside", "secret"), "secret");
    await writeFile(join(root, "dir", "file"), "inside");
    vfs = await PosixVfs.open(root);
  });

  afterEach(async () => {
    await vfs.close();
    await rm(base, { recursive: true });
  });

  it("refuses symbolic links at the end of a path, wherever they lead", async () => {
    await symlink(join(base, "outside", "secret"), join(root, "out"));
    await symlink("dir/file", join(root, "in"));
    for (const name of ["out", "in"]) {
      await refuses(ErrorCode.ACCESS_DENIED, vfs.stat(name));
      await refuses(ErrorCode.ACCESS_DENIED, vfs.open(name, { write: true }));
      await refuses(ErrorCode.ACCESS_DENIED, vfs.setAttributes(name, { readOnly: true }));
      await refuses(ErrorCode.ACCESS_DENIED, vfs.copy(name, "copied"));
      await refuses(ErrorCode.OBJECT_NAME_COLLISION, vfs.create(name));
    }
    assert.equal(await readFile(join(base, "outside", "secret"), "utf8"), "secret");
  });

  it("refuses symbolic links in the middle of a path and says what they are", async () => {
    await symlink(join(base, "outside"), join(root, "out"));
    for (const operation of [
      () => vfs.stat("out/secret"),
      () => vfs.open("out/secret", { write: false }),
      () => vfs.create("out/new"),
      () => vfs.unlink("out/secret"),
      () => vfs.list("out", "", 10),
      () => vfs.rename("dir/file", "out/file"),
      () => vfs.link("dir/file", "out/file"),
      () => vfs.makeDirectory("out/d"),
      () => vfs.syncDirectory("out"),
    ])
      await assert.rejects(operation, (error) => {
        assert.ok(error instanceof HoldfastError);
        assert.equal(error.code, ErrorCode.ACCESS_DENIED, error.message);
        assert.match(error.message, /symbolic link/);
        return true;
      });
  });

  it("does not list links and special files", async () => {
    await symlink("dir", join(root, "link"));
    execFileSync("mkfifo", [join(root, "pipe")]);
    const listing = await vfs.list("", "", 10);
    assert.deepEqual(listing.names, ["dir"]);
  });

  it("refuses pipes and sockets without waiting for their other end", async () => {
    execFileSync("mkfifo", [join(root, "pipe")]);
    const server = createServer().listen(join(root, "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      for (const name of ["pipe", "socket"]) {
        await refuses(ErrorCode.ACCESS_DENIED, vfs.open(name, { write: false }));
        await refuses(ErrorCode.ACCESS_DENIED, vfs.open(name, { write: true }));
        await refuses(ErrorCode.ACCESS_DENIED, vfs.stat(name));
      }
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("stays inside while somebody swaps a folder for a link all the time", async () => {
    let swapping = true;
    const swapper = (async () => {
      while (swapping) {
        await rename(join(root, "dir"), join(root, "aside"));
        await symlink(join(base, "outside"), join(root, "dir"));
        await rm(join(root, "dir"));
        await rename(join(root, "aside"), join(root, "dir"));
      }
    })();
    let inside = 0;
    let refused = 0;
    for (let i = 0; i < 400; i++) {
      try {
        const file = await vfs.open("dir/secret", { write: true });
        await file.close();
        assert.fail("the file outside was opened through the link");
      } catch (error) {
        assert.ok(error instanceof HoldfastError, String(error));
        refused += 1;
      }
      try {
        const file = await vfs.open("dir/file", { write: false });
        assert.equal(Buffer.from(await file.read(0, 10)).toString(), "inside");
        await file.close();
        inside += 1;
      } catch (error) {
        assert.ok(error instanceof HoldfastError, String(error));
      }
    }
    swapping = false;
    await swapper;
    assert.equal(refused, 400);
    assert.ok(inside > 0, "the folder was never there");
  });

  it("says clearly when the share's folder is missing", async () => {
    await refuses(ErrorCode.SHARE_UNAVAILABLE, PosixVfs.open(join(base, "nothing")));
  });

  it("says DISK_FULL when the file system is", async function () {
    const small = join(base, "small");
    await mkdir(small);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", small], { stdio: "ignore" });
    } catch {
      this.skip();
    }
    const full = await PosixVfs.open(small);
    try {
      const file = await full.create("f");
      await refuses(ErrorCode.DISK_FULL, file.write(0, new Uint8Array(1 << 20)));
      await file.close();
    } finally {
      await full.close();
      execFileSync("umount", [small]);
    }
  });
});
