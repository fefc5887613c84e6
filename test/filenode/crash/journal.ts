import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import type { LocalJournal } from "../../../src/testing/local-coordinator.js";

/** What a coordinator executed, on disk before anybody hears of it: a log of one member. */
export class FileJournal implements LocalJournal {
  private readonly fd: number;

  constructor(private readonly path: string) {
    this.fd = openSync(path, "a");
  }

  append(record: Uint8Array): void {
    const framed = Buffer.alloc(4 + record.length);
    framed.writeUInt32LE(record.length);
    framed.set(record, 4);
    writeSync(this.fd, framed);
    fsyncSync(this.fd);
  }

  /** All whole records. */
  static read(path: string): Uint8Array[] {
    const records: Uint8Array[] = [];
    if (!existsSync(path)) return records;
    const bytes = readFileSync(path);
    for (let at = 0; at + 4 <= bytes.length; ) {
      const length = bytes.readUInt32LE(at);
      if (at + 4 + length > bytes.length) break;
      records.push(bytes.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    return records;
  }

  close(): void {
    closeSync(this.fd);
  }
}
