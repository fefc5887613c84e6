import type { Vfs, VfsAttributes, VfsFile, VfsStat } from "../filenode/api.js";
import { baseName, parentOf } from "../filenode/paths.js";
import { page } from "../filenode/vfs/page.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { type MemoryInode, type MemoryShare, namesOf } from "./memory-share.js";

/** What an operation of the share is called when a fault is chosen for it. */
export type MemoryOperation =
  | "stat"
  | "open"
  | "read"
  | "write"
  | "truncate"
  | "sync"
  | "create"
  | "link"
  | "rename"
  | "unlink"
  | "makeDirectory"
  | "removeDirectory"
  | "list"
  | "syncDirectory"
  | "setAttributes"
  | "copy";

/**
 * Called before each operation takes effect: may wait (a slow or hung disk), or throw (EIO, a full disk). Returning
 * nothing lets it through. Called again with `after` once it took effect, so that an answer may be delayed or lost.
 */
export type MemoryFaults = (
  operation: MemoryOperation,
  path: string,
  phase: "before" | "after",
) => Promise<void> | void;

/** One node's door to a memory share. Without faults every operation resolves in microtasks: no timers, no chance. */
export class MemoryVfs implements Vfs {
  constructor(
    private readonly share: MemoryShare,
    /** The node whose unsynced writes these are. */
    private readonly node: string,
    private readonly faults: MemoryFaults = () => {},
  ) {}

  async stat(path: string): Promise<VfsStat | null> {
    return this.run("stat", path, () => {
      const inode = this.find(path);
      return inode === undefined ? null : statOf(inode);
    });
  }

  open(path: string, options: { readonly write: boolean }): Promise<VfsFile> {
    return this.run("open", path, () => {
      const inode = this.must(path);
      if (inode.names !== null)
        throw new HoldfastError(ErrorCode.FILE_IS_A_DIRECTORY, `open ${path}: it is a folder`);
      return this.file(inode, path, options.write);
    });
  }

  create(path: string): Promise<VfsFile> {
    return this.run("create", path, () => {
      const inode = this.share.newInode(false);
      this.addName(path, inode);
      return this.file(inode, path, true);
    });
  }

  link(from: string, to: string): Promise<void> {
    return this.run("link", to, () => {
      const inode = this.must(from);
      if (inode.names !== null)
        throw new HoldfastError(ErrorCode.ACCESS_DENIED, `link ${from}: a folder has one name only`);
      this.addName(to, inode);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.run("rename", to, () => {
      const inode = this.must(from);
      const target = this.find(to);
      if (target === inode) return;
      if (target !== undefined) checkReplace(inode, target, to);
      const source = this.folderOf(from);
      const destination = this.folderOf(to);
      const undoPut = this.share.setName(destination, baseName(to), inode);
      const undoTake = this.share.setName(source, baseName(from), null);
      this.share.record([source, destination], () => {
        undoTake();
        undoPut();
      });
    });
  }

  unlink(path: string): Promise<void> {
    return this.run("unlink", path, () => {
      if (this.must(path).names !== null)
        throw new HoldfastError(ErrorCode.FILE_IS_A_DIRECTORY, `delete ${path}: it is a folder`);
      this.takeName(path);
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.run("makeDirectory", path, () => this.addName(path, this.share.newInode(true)));
  }

  removeDirectory(path: string): Promise<void> {
    return this.run("removeDirectory", path, () => {
      if (namesOf(this.must(path)).size > 0)
        throw new HoldfastError(ErrorCode.DIRECTORY_NOT_EMPTY, `remove folder ${path}: it is not empty`);
      this.takeName(path);
    });
  }

  setAttributes(path: string, attributes: VfsAttributes): Promise<void> {
    return this.run("setAttributes", path, () => {
      const inode = this.must(path);
      if (attributes.readOnly !== undefined) inode.readOnly = attributes.readOnly;
      if (attributes.modifiedMs !== undefined) inode.modifiedMs = attributes.modifiedMs;
    });
  }

  copy(from: string, to: string): Promise<void> {
    return this.run("copy", to, () => {
      const copy = this.share.newInode(false);
      this.addName(to, copy);
      this.share.write(copy, { node: this.node, offset: 0, data: this.must(from).data.slice() });
    });
  }

  list(
    path: string,
    after: string,
    limit: number,
  ): Promise<{ readonly names: readonly string[]; readonly more: boolean }> {
    return this.run("list", path, () => page([...namesOf(this.folder(path)).keys()], after, limit));
  }

  syncDirectory(path: string): Promise<void> {
    return this.run("syncDirectory", path, () => {
      this.share.syncNames(this.folder(path));
    });
  }

  private async run<T>(operation: MemoryOperation, path: string, act: () => T): Promise<T> {
    await this.faults(operation, path, "before");
    const result = act();
    await this.faults(operation, path, "after");
    return result;
  }

  private file(inode: MemoryInode, path: string, writable: boolean): VfsFile {
    const change = (operation: "write" | "truncate", offset: number, data: Uint8Array | null) =>
      this.run(operation, path, () => {
        if (!writable)
          throw new HoldfastError(ErrorCode.ACCESS_DENIED, `${operation} ${path}: opened for reading`);
        this.share.write(inode, { node: this.node, offset, data });
      });
    return {
      read: (offset, length) => this.run("read", path, () => inode.data.slice(offset, offset + length)),
      write: (offset, data) => change("write", offset, data.slice()),
      truncate: (size) => change("truncate", size, null),
      sync: () => this.run("sync", path, () => this.share.syncData(inode)),
      stat: () => this.run("stat", path, () => statOf(inode)),
      close: () => Promise.resolve(),
    };
  }

  private find(path: string): MemoryInode | undefined {
    if (path === "") return this.share.root;
    return namesOf(this.folderOf(path)).get(baseName(path));
  }

  private must(path: string): MemoryInode {
    const inode = this.find(path);
    if (inode === undefined)
      throw new HoldfastError(ErrorCode.OBJECT_NAME_NOT_FOUND, `${path}: nothing stands there`);
    return inode;
  }

  private folder(path: string): MemoryInode {
    const inode = this.find(path);
    if (inode?.names) return inode;
    throw new HoldfastError(ErrorCode.OBJECT_PATH_NOT_FOUND, `${path}: no such folder`);
  }

  private folderOf(path: string): MemoryInode {
    let folder = this.share.root;
    const parent = parentOf(path);
    if (parent === "") return folder;
    for (const name of parent.split("/")) {
      const next = folder.names?.get(name);
      if (next === undefined || next.names === null)
        throw new HoldfastError(ErrorCode.OBJECT_PATH_NOT_FOUND, `${path}: folder "${name}" is missing`);
      folder = next;
    }
    return folder;
  }

  private addName(path: string, inode: MemoryInode): void {
    const folder = this.folderOf(path);
    if (namesOf(folder).has(baseName(path)))
      throw new HoldfastError(ErrorCode.OBJECT_NAME_COLLISION, `${path}: something stands there`);
    this.share.record([folder], this.share.setName(folder, baseName(path), inode));
  }

  private takeName(path: string): void {
    const folder = this.folderOf(path);
    this.share.record([folder], this.share.setName(folder, baseName(path), null));
  }
}

function checkReplace(inode: MemoryInode, target: MemoryInode, to: string): void {
  if (inode.names === null && target.names !== null)
    throw new HoldfastError(ErrorCode.FILE_IS_A_DIRECTORY, `rename to ${to}: it is a folder`);
  if (inode.names !== null && target.names === null)
    throw new HoldfastError(ErrorCode.NOT_A_DIRECTORY, `rename to ${to}: it is a file`);
  if (target.names !== null && target.names.size > 0)
    throw new HoldfastError(ErrorCode.DIRECTORY_NOT_EMPTY, `rename to ${to}: it is not empty`);
}

function statOf(inode: MemoryInode): VfsStat {
  return {
    fileId: inode.fileId,
    directory: inode.names !== null,
    size: inode.data.length,
    modifiedMs: inode.modifiedMs,
    createdMs: inode.createdMs,
    readOnly: inode.readOnly,
    linkCount: inode.links,
  };
}
