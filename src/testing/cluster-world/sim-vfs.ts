import type { Vfs, VfsFile } from "../../filenode/api.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { MemoryShare } from "../memory-share.js";
import { MemoryVfs } from "../memory-vfs.js";
import type { Prng } from "../sim/prng.js";
import type { SimProcess } from "../sim/sim-process.js";
import type { Simulation } from "../sim/simulation.js";

/** Times of the share's operations in microseconds; may be changed while running. */
export interface ShareTimes {
  meanUs: number;
  /** A hung share: what is asked before then waits. */
  hungUntilUs: number;
}

/** What one node's kernel does to one file: writes are kept back, while everything else goes through; syncs may fail. */
export interface HeldWrites {
  readonly path: string;
  readonly untilUs: number;
  /** So many syncs fail from now on. */
  failingSyncs?: number;
  /** So many were handed over. */
  count: number;
}

/** Told of each change right when it is handed to the kernel, which nobody can recall then. */
export type Changing = (operation: string, path: string) => void;

/**
 * The share as one process sees it. An operation that was handed to the kernel goes on when the process is stopped or
 * killed; its answer reaches the process that asked, or nobody.
 */
export function processVfs(
  sim: Simulation,
  prng: Prng,
  share: MemoryShare,
  node: string,
  process: SimProcess,
  times: ShareTimes,
  changing: Changing,
  held: () => HeldWrites | null = () => null,
): Vfs {
  const pause = (atLeastUntilUs = 0): Promise<void> => {
    const hung = Math.max(0, times.hungUntilUs - sim.nowUs, atLeastUntilUs - sim.nowUs);
    return new Promise((go) => sim.after(hung + prng.exponential(times.meanUs), go));
  };
  const inner = new MemoryVfs(share, node);
  const through = <T>(act: () => Promise<T>, notBeforeUs = 0): Promise<T> =>
    new Promise((resolve, reject) => {
      if (!process.alive) return;
      pause(notBeforeUs)
        .then(act)
        .then(process.bind(resolve), process.bind(reject))
        .catch(() => undefined);
    });
  const heldUntil = (path: string): number => {
    const writes = held();
    if (writes === null || writes.path !== path) return 0;
    writes.count++;
    return writes.untilUs;
  };
  const failsSync = (path: string): boolean => {
    const writes = held();
    if (writes === null || writes.path !== path || !writes.failingSyncs) return false;
    writes.failingSyncs--;
    return true;
  };
  const change = <T>(operation: string, path: string, act: () => Promise<T>): Promise<T> => {
    if (process.alive) changing(operation, path);
    return through(act, operation === "write" ? heldUntil(path) : 0);
  };
  const file = (path: string, open: VfsFile): VfsFile => ({
    read: (offset, length) => through(() => open.read(offset, length)),
    write: (offset, data) => change("write", path, () => open.write(offset, data)),
    truncate: (size) => change("truncate", path, () => open.truncate(size)),
    sync: () => through(() => (failsSync(path) ? Promise.reject(syncFailed(path)) : open.sync())),
    stat: () => through(() => open.stat()),
    close: () => through(() => open.close()),
  });
  return {
    stat: (path) => through(() => inner.stat(path)),
    open: (path, options) => through(() => inner.open(path, options)).then((open) => file(path, open)),
    create: (path) => change("create", path, () => inner.create(path)).then((open) => file(path, open)),
    link: (from, to) => change("link", to, () => inner.link(from, to)),
    rename: (from, to) => change("rename", to, () => inner.rename(from, to)),
    unlink: (path) => change("unlink", path, () => inner.unlink(path)),
    makeDirectory: (path) => change("makeDirectory", path, () => inner.makeDirectory(path)),
    removeDirectory: (path) => change("removeDirectory", path, () => inner.removeDirectory(path)),
    list: (path, after, limit) => through(() => inner.list(path, after, limit)),
    syncDirectory: (path) => through(() => inner.syncDirectory(path)),
    setAttributes: (path, attributes) =>
      change("setAttributes", path, () => inner.setAttributes(path, attributes)),
    copy: (from, to) => change("copy", to, () => inner.copy(from, to)),
  };
}

function syncFailed(path: string): HoldfastError {
  return new HoldfastError(ErrorCode.STORAGE_FAILED, `${path}: the share failed to sync it`);
}
