import { join } from "node:path";
import { localNodes } from "../../src/cli/local-cluster.js";
import { loadState } from "../../src/replica/load-state.js";
import { memoryMeter, realClock, realRandom, realScheduler } from "../../src/runtime/index.js";
import { createStateMachine } from "../../src/state/index.js";
import { NodeStorage, openRocks } from "../../src/storage/index.js";
import { v1 } from "../../src/wire/index.js";
import type { Note } from "./live.js";
import { prepareFolders } from "./prepare.js";
import type { ScaleOptions } from "./state.js";

/** As a replica sends it (`snapshotChunkBytes`). */
const CHUNK_BYTES = 64 * 1024;

/**
 * The sender's part of a snapshot alone, in one process without a network: state in memory, the records read from the disk
 * and encoded chunk by chunk. What holds the loop here would hold a leader's.
 */
export async function snapshotScale(folder: string, options: ScaleOptions, note: Note): Promise<void> {
  const [node] = localNodes(folder, 1, 1);
  if (node === undefined) throw new Error("no node");
  await prepareFolders([node], options);
  global.gc?.();
  const handles = options.sessions * options.handlesPerSession;
  const began = performance.now();
  const world = { clock: realClock, scheduler: realScheduler, random: realRandom, meter: memoryMeter() };
  const storage = await NodeStorage.open(await openRocks(join(node.data, "db")), world);
  await storage.loadDurable();
  const machine = await loadState(storage, createStateMachine, realScheduler);
  note("state loaded from disk after", performance.now() - began, "ms");
  if (machine.counts().handles !== handles)
    throw new Error(`${machine.counts().handles} handles were loaded`);
  const holds = new Holds();
  const sending = performance.now();
  const bytes = await send(storage);
  note("snapshot read and encoded", performance.now() - sending, "ms");
  note("snapshot, bytes a handle", bytes / handles, "B");
  note("longest hold of the loop meanwhile", holds.end(), "ms", 50);
  await storage.close();
}

async function send(storage: NodeStorage): Promise<number> {
  const reader = await storage.openStateSnapshot();
  let bytes = 0;
  for (let sequence = 0; ; sequence++) {
    const { records, crc32, last } = await reader.next(CHUNK_BYTES);
    bytes += v1.SnapshotChunk.encode({ transferId: "bench", sequence, records, crc32 }).finish().length;
    // As with a network: the window of chunks is acknowledged in a later turn of the loop.
    await new Promise<void>((resolve) => realScheduler.soon(resolve));
    if (last) break;
  }
  await reader.close();
  return bytes;
}

/** The longest time between two turns of the loop. */
class Holds {
  private longestMs = 0;
  private lastMs = performance.now();
  private ended = false;

  constructor() {
    this.turn();
  }

  private turn(): void {
    setImmediate(() => {
      const now = performance.now();
      this.longestMs = Math.max(this.longestMs, now - this.lastMs);
      this.lastMs = now;
      if (!this.ended) this.turn();
    });
  }

  end(): number {
    this.ended = true;
    return this.longestMs;
  }
}
