import { closeSync, constants, fstatSync, openSync, write, writeSync } from "node:fs";
import { Socket } from "node:net";

/** Where lines go: 1 (stdout), 2 (stderr), or a file that is appended to. */
export type LogTarget = 1 | 2 | { readonly file: string };

const RETRY_MS = 50;

/**
 * Takes lines and writes them without ever blocking or growing without bound: when nobody reads the pipe, whole lines
 * are dropped and counted, because a coordinator that waits for its log's reader is a coordinator that is down.
 *
 * A pipe or terminal is opened anew without blocking (changing the shared descriptor would change it for whoever else
 * holds it); a socket, as journald gives, goes through a non-blocking Socket; a file is appended to.
 */
export class LogSink {
  readonly #fd: number;
  readonly #ownsFd: boolean;
  readonly #socket: Socket | null;
  readonly #bytesMax: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #writing = false;
  #closed = false;
  #dropped = 0;
  #idle: (() => void)[] = [];

  /** @param bytesMax most bytes that wait for a reader; lines beyond are dropped. */
  constructor(target: LogTarget, bytesMax = 1024 * 1024) {
    const { fd, owns } = openTarget(target);
    this.#fd = fd;
    this.#ownsFd = owns;
    this.#bytesMax = bytesMax;
    this.#socket = !owns && fstatSync(fd).isSocket() ? new Socket({ fd, readable: false }) : null;
    this.#socket?.unref();
    this.#socket?.on("error", () => this.#socket?.destroy());
  }

  /** Lines that were dropped because nobody took them. */
  get droppedLines(): number {
    return this.#dropped;
  }

  /** Takes one line with its newline. Never throws, never blocks. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    const queued = this.#socket === null ? this.#waitingBytes : this.#socket.writableLength;
    if (this.#closed || queued + bytes.length > this.#bytesMax) {
      this.#dropped++;
      return;
    }
    if (this.#socket !== null) {
      this.#socket.write(bytes);
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#pump();
  }

  /** Resolves when what was written is out, or after `withinMs`: an unread pipe must not hold up an exit. */
  async flush(withinMs = 200): Promise<void> {
    if (this.#socket !== null || (this.#waiting.length === 0 && !this.#writing)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Last resort at exit: one attempt to write what waits, dropped if it would block. */
  flushNow(): void {
    if (this.#socket !== null || this.#writing || this.#closed) return;
    try {
      while (this.#waiting.length > 0) {
        const bytes = this.#waiting[0] as Buffer;
        this.#taken(writeSync(this.#fd, bytes));
      }
    } catch {
      this.#dropped += this.#waiting.length;
      this.#waiting = [];
      this.#waitingBytes = 0;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.flushNow();
    this.#closed = true;
    if (this.#ownsFd && !this.#writing) closeSync(this.#fd);
  }

  #pump(): void {
    if (this.#writing || this.#waiting.length === 0 || this.#closed) return;
    this.#writing = true;
    const bytes = this.#waiting.length === 1 ? (this.#waiting[0] as Buffer) : this.#merge();
    write(this.#fd, bytes, 0, bytes.length, null, (error, written) => {
      this.#writing = false;
      if (error === null) this.#taken(written);
      else if (error.code !== "EAGAIN") this.#abandon();
      if (error?.code === "EAGAIN") setTimeout(() => this.#pump(), RETRY_MS).unref();
      else this.#pump();
      if (this.#waiting.length === 0) for (const wake of this.#idle.splice(0)) wake();
    });
  }

  /** One write for all that waits, up to a size that a pipe may take at once. */
  #merge(): Buffer {
    const merged = Buffer.concat(this.#waiting);
    this.#waiting = [merged];
    return merged;
  }

  #taken(bytes: number): void {
    const first = this.#waiting[0];
    if (first === undefined) return;
    this.#waitingBytes -= bytes;
    if (bytes >= first.length) this.#waiting.shift();
    else this.#waiting[0] = first.subarray(bytes);
  }

  #abandon(): void {
    this.#dropped += this.#waiting.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}

function openTarget(target: LogTarget): { fd: number; owns: boolean } {
  if (typeof target === "object") return { fd: openSync(target.file, "a"), owns: true };
  const stat = fstatSync(target);
  if (!stat.isFIFO() && !stat.isCharacterDevice()) return { fd: target, owns: false };
  try {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    return { fd: openSync(`/proc/self/fd/${target}`, flags), owns: true };
  } catch {
    return { fd: target, owns: false };
  }
}
