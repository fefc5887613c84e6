import { type BigIntStats, constants } from "node:fs";
import { lstat } from "node:fs/promises";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { closeFd, openFd } from "./posix-calls.js";
import { errnoOf, fileError } from "./posix-errors.js";

/** Not in node:fs: a descriptor that only names a place, which needs no permission to read and opens no device. */
export const O_PATH = 0o10000000;
const DIRECTORY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Walks below a share's root, one component at a time, each opened relative to the descriptor of the one before it and
 * never through a symbolic link. A path string is never resolved as a whole: whoever swaps a directory for a link
 * between check and use finds us holding the directory.
 */
export class PosixWalk {
  private constructor(
    private readonly rootFd: number,
    /** Device of the root: what is mounted inside the share is another file system, where names cannot be linked to. */
    readonly device: bigint,
  ) {}

  static async open(root: string): Promise<PosixWalk> {
    try {
      const rootFd = await openFd(root, O_PATH | constants.O_DIRECTORY);
      const stats = await lstat(`/proc/self/fd/${rootFd}/.`, { bigint: true });
      return new PosixWalk(rootFd, stats.dev);
    } catch (error) {
      throw new HoldfastError(ErrorCode.SHARE_UNAVAILABLE, `share folder ${root}: ${errnoOf(error)}`, {
        next: "create the folder or mount the storage, then start the node again",
        cause: error,
      });
    }
  }

  /** Runs `use` with a name for `path` that the kernel resolves in one step from an open directory. */
  async inParent<T>(path: string, what: string, use: (name: string) => Promise<T>): Promise<T> {
    const cut = path.lastIndexOf("/");
    const fd = cut < 0 ? this.rootFd : await this.descend(path.slice(0, cut).split("/"), what);
    try {
      return await use(`/proc/self/fd/${fd}/${path.slice(cut + 1) || "."}`);
    } finally {
      if (fd !== this.rootFd) await closeFd(fd);
    }
  }

  /** Runs `use` with the directory at `path` itself. */
  async inDirectory<T>(path: string, what: string, use: (name: string) => Promise<T>): Promise<T> {
    if (path === "") return use(`/proc/self/fd/${this.rootFd}/.`);
    const fd = await this.descend(path.split("/"), what);
    try {
      return await use(`/proc/self/fd/${fd}/.`);
    } finally {
      await closeFd(fd);
    }
  }

  close(): Promise<void> {
    return closeFd(this.rootFd);
  }

  private async descend(components: readonly string[], what: string): Promise<number> {
    let fd = this.rootFd;
    for (const component of components) {
      const name = `/proc/self/fd/${fd}/${component}`;
      let next: number;
      try {
        next = await openFd(name, DIRECTORY);
      } catch (error) {
        throw await this.pathError(error, name, component, what);
      } finally {
        if (fd !== this.rootFd) await closeFd(fd);
      }
      fd = next;
    }
    return fd;
  }

  // The kernel says ENOTDIR for a link where a directory was wanted; people should read which of the two it was.
  private async pathError(
    error: unknown,
    name: string,
    component: string,
    what: string,
  ): Promise<HoldfastError> {
    const errno = errnoOf(error);
    if (errno === "ENOTDIR") {
      const stats = await lstat(name, { bigint: true }).catch(() => null);
      if (stats?.isSymbolicLink()) return linkRefused(what, component);
    }
    if (errno === "ENOENT" || errno === "ENOTDIR")
      return new HoldfastError(
        ErrorCode.OBJECT_PATH_NOT_FOUND,
        `${what}: folder "${component}" is ${errno === "ENOENT" ? "missing" : "not a folder"}`,
      );
    return fileError(error, what);
  }
}

/** Symbolic links are refused, wherever they lead: an alias would also pass by the open table, which goes by path. */
export function linkRefused(what: string, component: string): HoldfastError {
  return new HoldfastError(
    ErrorCode.ACCESS_DENIED,
    `${what}: "${component}" is a symbolic link, which is not followed inside a share`,
  );
}

/** Throws unless the thing is a regular file or a directory of the share's own file system. */
export function checkKind(stats: BigIntStats, device: bigint, what: string): void {
  if (stats.isSymbolicLink()) throw linkRefused(what, "it");
  if (!stats.isFile() && !stats.isDirectory())
    throw new HoldfastError(
      ErrorCode.ACCESS_DENIED,
      `${what}: it is a device, pipe or socket, which a share does not serve`,
    );
  if (stats.dev !== device)
    throw new HoldfastError(
      ErrorCode.ACCESS_DENIED,
      `${what}: it lies on another file system that is mounted inside the share`,
    );
}
