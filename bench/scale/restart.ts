import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { localConfig, localNodes } from "../../src/cli/local-cluster.js";
import { freeBasePort } from "../ports.js";
import type { Note } from "./live.js";
import { ScaleNode } from "./nodes.js";
import { prepareFolders } from "./prepare.js";
import type { ScaleOptions } from "./state.js";

const READY_LIMIT_MS = 120_000;

/**
 * Start of one node alone, a group of its own, on a full disk: process start until ready, `times` times. What it takes in a
 * cluster is this and the log that it missed.
 */
export async function restartScale(
  folder: string,
  options: ScaleOptions,
  times: number,
  note: Note,
  flags: readonly string[],
): Promise<void> {
  const [node] = localNodes(folder, await freeBasePort([0, 100]), 1);
  if (node === undefined) throw new Error("no node");
  if (!existsSync(join(node.data, "db"))) await prepareFolders([node], options);
  const share = join(folder, "share");
  mkdirSync(share, { recursive: true });
  const process = new ScaleNode(node, localConfig(node, [node], share), flags);
  for (let i = 0; i < times; i++) {
    process.start();
    try {
      note(`start ${i + 1} of one node until ready`, await process.untilReady(READY_LIMIT_MS), "ms", 15_000);
      const bytes = await process.metric("process_resident_bytes");
      note("resident memory, by handle", bytes / (options.sessions * options.handlesPerSession), "B", 1024);
    } finally {
      await process.stop();
    }
  }
}
