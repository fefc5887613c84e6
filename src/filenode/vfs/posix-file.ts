import { ftruncate } from "node:fs";
import type { VfsFile, VfsStat } from "../api.js";
import { closeFd, dataSync, readAt, statFd, writeAt } from "./posix-calls.js";
import { errnoOf, fileError } from "./posix-errors.js";
import { toVfsStat } from "./posix-stat.js";
import type { SyncGuard } from "./sync-guard.js";

/** A regular file behind a descriptor. */
export class PosixFile implements VfsFile {
  private closed = false;

  constructor(
    private readonly fd: number,
    private readonly what: string,
    private readonly guard: SyncGuard,
  ) {}

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.run("read", () => readAt(this.fd, offset, length));
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    this.guard.check();
    return this.run("write", () => writeAt(this.fd, offset, data));
  }

  truncate(size: number): Promise<void> {
    this.guard.check();
    return this.run(
      "truncate",
      () =>
        new Promise((resolve, reject) => {
          ftruncate(this.fd, size, (error) => (error === null ? resolve() : reject(error)));
        }),
    );
  }

  async sync(): Promise<void> {
    this.guard.check();
    try {
      await dataSync(this.fd);
    } catch (error) {
      throw this.guard.failed(errnoOf(error), fileError(error, `sync ${this.what}`));
    }
  }

  stat(): Promise<VfsStat> {
    return this.run("stat", async () => toVfsStat(await statFd(this.fd)));
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await closeFd(this.fd);
  }

  private async run<T>(operation: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw fileError(error, `${operation} ${this.what}`);
    }
  }
}
