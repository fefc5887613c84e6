import { type BigIntStats, constants, type Dirent } from "node:fs";
import {
  chmod,
  copyFile,
  link,
  lstat,
  mkdir,
  readdir,
  rename,
  rmdir,
  unlink,
  utimes,
} from "node:fs/promises";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Vfs, VfsAttributes, VfsFile, VfsStat } from "../api.js";
import { page } from "./page.js";
import { closeFd, fullSync, openFd, statFd } from "./posix-calls.js";
import { errnoOf, fileError } from "./posix-errors.js";
import { PosixFile } from "./posix-file.js";
import { toVfsStat } from "./posix-stat.js";
import { checkKind, linkRefused, O_PATH, PosixWalk } from "./posix-walk.js";
import { SyncGuard } from "./sync-guard.js";

const OPEN_FLAGS = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * A share on a real directory (Linux: it needs /proc/self/fd). Every operation walks from the root's descriptor without
 * following links, so that no path and no race leads outside.
 */
export class PosixVfs implements Vfs {
  private constructor(
    private readonly walk: PosixWalk,
    private readonly guard: SyncGuard,
  ) {}

  /** `onFailure` hears of the first failed sync, after which nothing is written any more. */
  static async open(root: string, onFailure: (error: HoldfastError) => void = () => {}): Promise<PosixVfs> {
    return new PosixVfs(await PosixWalk.open(root), new SyncGuard(onFailure));
  }

  async stat(path: string): Promise<VfsStat | null> {
    const what = `stat ${path}`;
    try {
      return await this.at(path, what, async (name) => {
        const stats = await lstat(name, { bigint: true });
        checkKind(stats, this.walk.device, what);
        return toVfsStat(stats);
      });
    } catch (error) {
      if (error instanceof HoldfastError && error.code === ErrorCode.OBJECT_NAME_NOT_FOUND) return null;
      throw error;
    }
  }

  open(path: string, options: { readonly write: boolean }): Promise<VfsFile> {
    const what = `open ${path}`;
    const flags = (options.write ? constants.O_RDWR : constants.O_RDONLY) | OPEN_FLAGS;
    return this.at(path, what, async (name) => {
      // Looked at before it is opened: opening a device or a pipe already does something.
      const before = await lstat(name, { bigint: true });
      checkKind(before, this.walk.device, what);
      if (before.isDirectory())
        throw new HoldfastError(ErrorCode.FILE_IS_A_DIRECTORY, `${what}: it is a folder`);
      const fd = await openFd(name, flags);
      try {
        const stats = await statFd(fd);
        checkKind(stats, this.walk.device, what);
        return new PosixFile(fd, path, this.guard);
      } catch (error) {
        await closeFd(fd);
        throw error;
      }
    });
  }

  create(path: string): Promise<VfsFile> {
    this.guard.check();
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | OPEN_FLAGS;
    return this.at(path, `create ${path}`, async (name) => {
      return new PosixFile(await openFd(name, flags), path, this.guard);
    });
  }

  link(from: string, to: string): Promise<void> {
    return this.between(from, to, `link ${from} to ${to}`, link);
  }

  rename(from: string, to: string): Promise<void> {
    return this.between(from, to, `rename ${from} to ${to}`, rename);
  }

  unlink(path: string): Promise<void> {
    this.guard.check();
    return this.at(path, `delete ${path}`, unlink);
  }

  async makeDirectory(path: string): Promise<void> {
    this.guard.check();
    await this.at(path, `make folder ${path}`, (name) => mkdir(name, 0o755));
  }

  removeDirectory(path: string): Promise<void> {
    this.guard.check();
    return this.at(path, `remove folder ${path}`, rmdir);
  }

  setAttributes(path: string, attributes: VfsAttributes): Promise<void> {
    this.guard.check();
    const what = `set attributes of ${path}`;
    return this.pinned(path, what, async (name, stats) => {
      if (attributes.readOnly !== undefined) {
        const mode = Number(stats.mode & 0o777n);
        await chmod(name, attributes.readOnly ? mode & ~0o222 : mode | 0o200);
      }
      if (attributes.modifiedMs !== undefined)
        await utimes(name, Number(stats.atimeMs) / 1000, attributes.modifiedMs / 1000);
      await this.syncNamed(name, what);
    });
  }

  copy(from: string, to: string): Promise<void> {
    this.guard.check();
    const what = `copy ${from} to ${to}`;
    return this.pinned(from, what, (source) =>
      this.at(to, what, (target) =>
        copyFile(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE),
      ),
    );
  }

  list(
    path: string,
    after: string,
    limit: number,
  ): Promise<{ readonly names: readonly string[]; readonly more: boolean }> {
    const what = `list ${path}`;
    return this.walk.inDirectory(path, what, async (directory) => {
      try {
        const entries = await readdir(directory, { withFileTypes: true, encoding: "buffer" });
        return page(names(entries), after, limit);
      } catch (error) {
        throw fileError(error, what);
      }
    });
  }

  syncDirectory(path: string): Promise<void> {
    this.guard.check();
    const what = `sync folder ${path}`;
    return this.walk.inDirectory(path, what, (directory) => this.syncNamed(directory, what));
  }

  /** Gives the root's descriptor back. Files that are still open stay usable. */
  close(): Promise<void> {
    return this.walk.close();
  }

  private at<T>(path: string, what: string, use: (name: string) => Promise<T>): Promise<T> {
    return this.walk.inParent(path, what, async (name) => {
      try {
        return await use(name);
      } catch (error) {
        if (errnoOf(error) === "ELOOP") throw linkRefused(what, path);
        throw fileError(error, what);
      }
    });
  }

  private async syncNamed(name: string, what: string): Promise<void> {
    const fd = await openFd(name, constants.O_RDONLY);
    try {
      await fullSync(fd);
    } catch (error) {
      throw this.guard.failed(errnoOf(error), fileError(error, what));
    } finally {
      await closeFd(fd);
    }
  }

  // For calls that would follow a link at the end of a path: they get the very inode that was looked at.
  private pinned<T>(
    path: string,
    what: string,
    use: (name: string, stats: BigIntStats) => Promise<T>,
  ): Promise<T> {
    return this.at(path, what, async (name) => {
      const fd = await openFd(name, O_PATH | constants.O_NOFOLLOW);
      try {
        const stats = await statFd(fd);
        checkKind(stats, this.walk.device, what);
        return await use(`/proc/self/fd/${fd}`, stats);
      } finally {
        await closeFd(fd);
      }
    });
  }

  private between(
    from: string,
    to: string,
    what: string,
    use: (from: string, to: string) => Promise<void>,
  ): Promise<void> {
    this.guard.check();
    return this.at(from, what, (source) => this.at(to, what, (target) => use(source, target)));
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

// Names that are not UTF-8 cannot be asked for, links and special files cannot be opened: none is listed.
function names(entries: readonly Dirent<Buffer>[]): string[] {
  const found: string[] = [];
  for (const entry of entries) {
    if (entry.isSymbolicLink() || entry.isFIFO() || entry.isSocket()) continue;
    if (entry.isBlockDevice() || entry.isCharacterDevice()) continue;
    const name = decoded(entry.name);
    if (name !== null) found.push(name);
  }
  return found;
}

function decoded(name: Buffer): string | null {
  try {
    return decoder.decode(name);
  } catch {
    return null;
  }
}
