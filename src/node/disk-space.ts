import { statfs } from "node:fs";

const EVERY_MS = 1_000;

/** Whether the disk of a folder is nearly full, looked at once a second in the background. */
export class DiskSpace {
  /** False until the first look. */
  low = false;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly folder: string,
    private readonly lowBytes: number,
  ) {
    this.timer = setInterval(() => this.look(), EVERY_MS);
    this.timer.unref();
    this.look();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    statfs(this.folder, (error, stats) => {
      // A disk that cannot even be asked shows itself by its writes.
      if (error === null) this.low = stats.bavail * stats.bsize < this.lowBytes;
    });
  }
}
