import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { localConfig, localNodes, type LocalNode } from "../../src/cli/local-cluster.js";
import { freeBasePort } from "../ports.js";
import { type Note, snapshot } from "./live.js";
import { operator, ScaleNode } from "./nodes.js";
import { prepareFolders } from "./prepare.js";
import type { ScaleOptions } from "./state.js";

const READY_LIMIT_MS = 120_000;

/**
 * One node alone, a group of its own: started `times` times from a full disk, and the last time an empty member joins it. A
 * short form of two parts of the whole, for whoever looks for what they spend their time on.
 */
export async function restartScale(
  folder: string,
  options: ScaleOptions,
  times: number,
  note: Note,
  flags: readonly string[],
): Promise<void> {
  // A member that was removed never comes back under its number, so each run in a kept folder adds another one.
  const joined = kept(folder, "joined", 0) + 1;
  const all = localNodes(folder, await portsOf(folder), 1 + joined);
  const node = all[0] as LocalNode;
  const joiner = all[joined] as LocalNode;
  if (!existsSync(join(node.data, "db"))) await prepareFolders([node], options);
  const share = join(folder, "share");
  mkdirSync(share, { recursive: true });
  const loaded = new ScaleNode(node, localConfig(node, [node], share), flags);
  rmSync(joiner.data, { recursive: true, force: true });
  const joining = localConfig(joiner, [node, joiner], share).replace(
    "cluster:\n",
    "cluster:\n  join: true\n",
  );
  const newcomer = new ScaleNode(joiner, joining, flags);
  try {
    for (let i = 1; i <= times; i++) {
      loaded.start();
      note(`start ${i} of one node until ready`, await loaded.untilReady(READY_LIMIT_MS), "ms", 15_000);
      const bytes = await loaded.metric("process_resident_bytes");
      note("resident memory, by handle", bytes / (options.sessions * options.handlesPerSession), "B", 1024);
      if (i < times) await loaded.stop();
    }
    writeFileSync(join(folder, "joined"), String(joined));
    await snapshot([loaded], newcomer, note);
    operator([node.grpc], "members", "remove", joiner.name);
  } finally {
    for (const running of [newcomer, loaded]) if (running.isRunning) await running.stop();
  }
}

/** A folder that is kept has its addresses in its records. */
async function portsOf(folder: string): Promise<number> {
  const port = kept(folder, "port", 0) || (await freeBasePort([0, 1, 100, 101]));
  writeFileSync(join(folder, "port"), String(port));
  return port;
}

function kept(folder: string, name: string, otherwise: number): number {
  const file = join(folder, name);
  return existsSync(file) ? Number(readFileSync(file, "utf8")) : otherwise;
}
