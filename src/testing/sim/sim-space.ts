import type { DiskSpace } from "../../storage/disk-guard.js";

const ROOM_BYTES = 2 ** 40;

/** The space of one simulated disk: somebody else may take all of it at once, and give it back later. */
export class SimSpace implements DiskSpace {
  private free = ROOM_BYTES;
  private reserved = 0;

  /** Another program takes all but this much; what is set aside stays set aside. */
  fill(leavingBytes: number): void {
    this.free = leavingBytes;
  }

  /** It gives everything back. */
  empty(): void {
    this.free = ROOM_BYTES;
  }

  /** Takes room for a write, or gives back what a write frees (negative). False: there is none, the write fails. */
  take(bytes: number): boolean {
    if (bytes > this.free) return false;
    this.free -= bytes;
    return true;
  }

  freeBytes(): Promise<number> {
    return Promise.resolve(this.free);
  }

  reserve(bytes: number): Promise<boolean> {
    const more = bytes - this.reserved;
    if (more <= 0) return Promise.resolve(true);
    if (!this.take(more)) return Promise.resolve(false);
    this.reserved = bytes;
    return Promise.resolve(true);
  }

  release(bytes: number): Promise<number> {
    const given = Math.min(bytes, this.reserved);
    this.free += given;
    this.reserved -= given;
    return Promise.resolve(given);
  }
}
