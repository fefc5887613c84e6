import type { Vfs, VfsFile } from "../api.js";

/**
 * A share in which every change asks `admit` right before it goes to the kernel; `admit` throws to stop it. An effect is
 * several operations one after the other, and its process may be stopped between two of them for longer than its lease:
 * what comes after would fall on what the next owner has done meanwhile.
 */
export function guardedVfs(vfs: Vfs, admit: () => void): Vfs {
  const change = <T>(run: () => Promise<T>): Promise<T> => {
    admit();
    return run();
  };
  const file = (open: VfsFile): VfsFile => ({
    read: (offset, length) => open.read(offset, length),
    write: async (offset, data) => change(() => open.write(offset, data)),
    truncate: async (size) => change(() => open.truncate(size)),
    sync: () => open.sync(),
    stat: () => open.stat(),
    close: () => open.close(),
  });
  return {
    stat: (path) => vfs.stat(path),
    open: async (path, options) => file(await vfs.open(path, options)),
    create: async (path) => file(await change(() => vfs.create(path))),
    link: async (from, to) => change(() => vfs.link(from, to)),
    rename: async (from, to) => change(() => vfs.rename(from, to)),
    unlink: async (path) => change(() => vfs.unlink(path)),
    makeDirectory: async (path) => change(() => vfs.makeDirectory(path)),
    removeDirectory: async (path) => change(() => vfs.removeDirectory(path)),
    list: (path, after, limit) => vfs.list(path, after, limit),
    syncDirectory: (path) => vfs.syncDirectory(path),
    setAttributes: async (path, attributes) => change(() => vfs.setAttributes(path, attributes)),
    copy: async (from, to) => change(() => vfs.copy(from, to)),
  };
}
