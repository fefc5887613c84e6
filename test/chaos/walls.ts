import type { LateWrites } from "./late-writes.js";
import type { OpRecord } from "./records.js";

/** A wall is so many blocks, each written by a call of its own. */
export const WALL_BLOCKS = 6;
export const WALL_BLOCK_BYTES = 4096;

/** Of a block that holds more than one writer's bytes. */
const TORN = -1;

/** A number that no other painting has. */
export function stampOf(client: number, sequence: number): number {
  return client * 1_000_000 + sequence + 1;
}

/** One block, full of its stamp. */
export function paintedBlock(stamp: number): Buffer {
  const block = Buffer.alloc(WALL_BLOCK_BYTES);
  for (let at = 0; at < block.length; at += 8) block.writeBigUInt64LE(BigInt(stamp), at);
  return block;
}

/** The stamp of each block; 0 where nothing stands. */
export function stampsOf(wall: Uint8Array): number[] {
  const bytes = Buffer.from(wall.buffer, wall.byteOffset, wall.length);
  return Array.from({ length: WALL_BLOCKS }, (_, i) => {
    const block = bytes.subarray(i * WALL_BLOCK_BYTES, (i + 1) * WALL_BLOCK_BYTES);
    if (block.length < WALL_BLOCK_BYTES) return block.length === 0 ? 0 : TORN;
    const stamp = block.readBigUInt64LE(0);
    for (let at = 8; at < block.length; at += 8) if (block.readBigUInt64LE(at) !== stamp) return TORN;
    return Number(stamp);
  });
}

/**
 * Who paints a wall writes each block of it, having found all blocks as the one before left them. Blocks of two paintings
 * side by side are writes of two owners interleaved; all blocks of an older one are acknowledged writes that are lost.
 */
export async function checkWalls(
  history: readonly OpRecord[],
  contentOf: (target: string) => Promise<Buffer>,
  late: LateWrites,
): Promise<string[]> {
  const violations: string[] = [];
  const targets = new Set(history.filter((each) => each.op === "paint").map((each) => each.target));
  for (const target of targets) {
    const paintings = history.filter((each) => each.op === "paint" && each.target === target);
    paintings.sort((a, b) => a.callUs - b.callUs);
    // What a painting without a good end has left: any of its blocks, or none.
    let allowed = new Set([0]);
    const see = (found: readonly number[], seenUs: number, who: string): void => {
      const strays = found.filter((stamp) => !allowed.has(stamp));
      const unexplained = strays.filter((stamp) => !explained(paintings, stamp, target, seenUs, late));
      if (unexplained.length === 0) return;
      const all = unexplained.length === found.length && new Set(found).size === 1;
      const what = all ? "acknowledged write lost" : "writes interleaved";
      violations.push(
        `${what}: ${who} found ${found.join(" ")} in ${target} where ${[...allowed].join(" or ")} was due`,
      );
    };
    for (const record of paintings) {
      if (record.found !== undefined) see(record.found, record.returnUs, `client ${record.client}`);
      if (record.outcome === "done") allowed = new Set([record.value ?? -1]);
      else allowed.add(record.value ?? -1);
    }
    see(stampsOf(await contentOf(target)), Infinity, "the end");
  }
  return violations;
}

function explained(
  paintings: readonly OpRecord[],
  stamp: number,
  target: string,
  seenUs: number,
  late: LateWrites,
): boolean {
  const write = paintings.find((each) => each.value === stamp);
  return write !== undefined && late.explains(write, target, seenUs, `a block of ${target} is of ${stamp}`);
}
