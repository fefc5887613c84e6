import type { Random } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** A file or folder of the memory share. Hard links are several names of one. */
export interface MemoryInode {
  readonly fileId: string;
  readonly names: Map<string, MemoryInode> | null;
  data: Uint8Array;
  /** Content that survives a power cut; the writes since then are in `unsynced`. */
  durable: Uint8Array;
  unsynced: MemoryWrite[];
  readOnly: boolean;
  modifiedMs: number;
  readonly createdMs: number;
  links: number;
}

/** One change of content that no sync has covered. */
export interface MemoryWrite {
  readonly node: string;
  readonly offset: number;
  /** Null: cut or extended to `offset`. */
  readonly data: Uint8Array | null;
}

/** One change of names that no sync has covered; `undo` takes it back, newest first. */
interface NameChange {
  readonly folders: readonly MemoryInode[];
  readonly undo: () => void;
}

/**
 * Storage that several file nodes share, in memory, with the failures of the real thing: content and names that no sync
 * covered are lost when the power fails, at a random point of their order, as with a journaling file system.
 */
export class MemoryShare {
  readonly root: MemoryInode;
  private nextInode = 1;
  private journal: NameChange[] = [];
  /** Writes of which a loss of power has left a part. */
  tornWrites = 0;

  constructor(private readonly wallMs: () => number = () => 0) {
    this.root = this.newInode(true);
  }

  newInode(directory: boolean): MemoryInode {
    const now = this.wallMs();
    return {
      fileId: `m${this.nextInode++}`,
      names: directory ? new Map() : null,
      data: new Uint8Array(0),
      durable: new Uint8Array(0),
      unsynced: [],
      readOnly: false,
      modifiedMs: now,
      createdMs: now,
      links: 0,
    };
  }

  /** Puts a name into a folder, replacing what stands there, or takes it out with `inode` null. */
  setName(folder: MemoryInode, name: string, inode: MemoryInode | null): () => void {
    const names = namesOf(folder);
    const before = names.get(name);
    const put = (value: MemoryInode | undefined | null) => {
      const present = names.get(name);
      if (present !== undefined) present.links -= 1;
      if (value === undefined || value === null) names.delete(name);
      else {
        names.set(name, value);
        value.links += 1;
      }
    };
    put(inode);
    return () => put(before);
  }

  /** Remembers how to take a change of names back, until one of its folders is synced. */
  record(folders: readonly MemoryInode[], undo: () => void): void {
    this.journal.push({ folders, undo });
  }

  /** Everything up to the last change of this folder is durable, as with one journal for the file system. */
  syncNames(folder: MemoryInode): void {
    let last = this.journal.length - 1;
    while (last >= 0 && !this.journal[last]?.folders.includes(folder)) last--;
    this.journal.splice(0, last + 1);
  }

  write(inode: MemoryInode, change: MemoryWrite): void {
    inode.data = applied(inode.data, change);
    inode.unsynced.push(change);
    inode.modifiedMs = this.wallMs();
  }

  syncData(inode: MemoryInode): void {
    inode.durable = inode.data;
    inode.unsynced = [];
  }

  /** The power fails: of what was not synced, a random beginning of the order survives; a last write may be torn. */
  powerCut(random: Random): void {
    // Inodes are collected before names are taken back: one may come back whose name was removed.
    const all = new Set<MemoryInode>();
    collect(this.root, all);
    const kept = random.below(this.journal.length + 1);
    while (this.journal.length > kept) this.journal.pop()?.undo();
    this.journal = [];
    collect(this.root, all);
    for (const inode of all) this.loseContent(inode, () => true, random);
  }

  /** A node dies whose writes lay in its own cache, as with a network file system: they are lost like at a power cut. */
  loseUnsyncedOf(node: string, random: Random): void {
    const all = new Set<MemoryInode>();
    collect(this.root, all);
    for (const inode of all) this.loseContent(inode, (write) => write.node === node, random);
  }

  private loseContent(inode: MemoryInode, mayLose: (write: MemoryWrite) => boolean, random: Random): void {
    if (inode.unsynced.length === 0) return;
    let data = inode.durable;
    const survivors: MemoryWrite[] = [];
    for (const write of inode.unsynced) {
      const survivor = mayLose(write) ? maybeTorn(write, random) : write;
      if (survivor === null) continue;
      if (survivor !== write) this.tornWrites++;
      survivors.push(survivor);
      data = applied(data, survivor);
    }
    inode.data = data;
    inode.unsynced = survivors;
  }
}

// Writes reach a disk in any order: each survives whole, in part, or not at all, whatever became of the others.
function maybeTorn(write: MemoryWrite, random: Random): MemoryWrite | null {
  const fate = random.below(3);
  if (fate === 0) return null;
  if (fate === 1 || write.data === null || write.data.length < 2) return write;
  return { ...write, data: write.data.slice(0, 1 + random.below(write.data.length - 1)) };
}

function applied(data: Uint8Array, change: MemoryWrite): Uint8Array {
  if (change.data === null) {
    const cut = new Uint8Array(change.offset);
    cut.set(data.subarray(0, change.offset));
    return cut;
  }
  const grown = new Uint8Array(Math.max(data.length, change.offset + change.data.length));
  grown.set(data);
  grown.set(change.data, change.offset);
  return grown;
}

function collect(inode: MemoryInode, into: Set<MemoryInode>): void {
  if (into.has(inode)) return;
  into.add(inode);
  if (inode.names !== null) for (const child of inode.names.values()) collect(child, into);
}

/** The names in a folder; throws NOT_A_DIRECTORY for a file. */
export function namesOf(inode: MemoryInode): Map<string, MemoryInode> {
  if (inode.names === null) throw new HoldfastError(ErrorCode.NOT_A_DIRECTORY, "it is a file, not a folder");
  return inode.names;
}
