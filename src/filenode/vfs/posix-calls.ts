import { type BigIntStats, close, fdatasync, fstat, fsync, open, read, write } from "node:fs";

/**
 * The system calls of the share on plain descriptors. `FileHandle` of node:fs/promises is not used: it closes itself
 * when collected, with a warning and at a time that nobody chose.
 */

/** Opens and resolves with the descriptor. */
export function openFd(path: string, flags: number, mode = 0o644): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, mode, (error, fd) => (error === null ? resolve(fd) : reject(error)));
  });
}

/** Closes; an error is of no use to anybody at that point, since all data that counts was synced before. */
export function closeFd(fd: number): Promise<void> {
  return new Promise((resolve) => {
    close(fd, () => resolve());
  });
}

/** Reads at an offset until `length` bytes or the end of the file. */
export async function readAt(fd: number, offset: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const count = await readSome(fd, buffer, filled, length - filled, offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled === length ? buffer : buffer.subarray(0, filled);
}

function readSome(fd: number, into: Buffer, at: number, length: number, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, into, at, length, offset, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

/** Writes all of `data` at an offset: the kernel may take it in parts. */
export async function writeAt(fd: number, offset: number, data: Uint8Array): Promise<void> {
  let done = 0;
  while (done < data.length) done += await writeSome(fd, data, done, offset + done);
}

function writeSome(fd: number, data: Uint8Array, from: number, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, data, from, data.length - from, offset, (error, count) =>
      error === null ? resolve(count) : reject(error),
    );
  });
}

/** Data and the metadata needed to read it back are on stable storage when it resolves. */
export function dataSync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** The same with all metadata: for directories and new files. */
export function fullSync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(fd, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** Inode, birth time and the rest, exact. */
export function statFd(fd: number): Promise<BigIntStats> {
  return new Promise((resolve, reject) => {
    fstat(fd, { bigint: true }, (error, stats) => (error === null ? resolve(stats) : reject(error)));
  });
}
