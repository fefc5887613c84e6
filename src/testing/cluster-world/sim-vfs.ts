import type { Vfs, VfsFile } from "../../filenode/api.js";
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
): Vfs {
  const pause = (): Promise<void> => {
    const hung = Math.max(0, times.hungUntilUs - sim.nowUs);
    return new Promise((go) => sim.after(hung + prng.exponential(times.meanUs), go));
  };
  const inner = new MemoryVfs(share, node);
  const through = <T>(act: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      if (!process.alive) return;
      pause()
        .then(act)
        .then(process.bind(resolve), process.bind(reject))
        .catch(() => undefined);
    });
  const file = (open: VfsFile): VfsFile => ({
    read: (offset, length) => through(() => open.read(offset, length)),
    write: (offset, data) => through(() => open.write(offset, data)),
    truncate: (size) => through(() => open.truncate(size)),
    sync: () => through(() => open.sync()),
    stat: () => through(() => open.stat()),
    close: () => through(() => open.close()),
  });
  return {
    stat: (path) => through(() => inner.stat(path)),
    open: (path, options) => through(() => inner.open(path, options)).then(file),
    create: (path) => through(() => inner.create(path)).then(file),
    link: (from, to) => through(() => inner.link(from, to)),
    rename: (from, to) => through(() => inner.rename(from, to)),
    unlink: (path) => through(() => inner.unlink(path)),
    makeDirectory: (path) => through(() => inner.makeDirectory(path)),
    removeDirectory: (path) => through(() => inner.removeDirectory(path)),
    list: (path, after, limit) => through(() => inner.list(path, after, limit)),
    syncDirectory: (path) => through(() => inner.syncDirectory(path)),
    setAttributes: (path, attributes) => through(() => inner.setAttributes(path, attributes)),
    copy: (from, to) => through(() => inner.copy(from, to)),
  };
}
