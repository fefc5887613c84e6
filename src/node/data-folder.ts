import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";

/** Makes the folder of a node and checks that it can be written. */
export function prepareDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o750 });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    // A file system that the kernel has made read-only after an error still grants access; only opening a file tells.
    closeSync(openSync(join(folder, "log"), "a"));
  } catch (error) {
    throw new NodeExitError(
      NODE_EXIT.dataUnwritable,
      `data folder ${folder} cannot be used: ${(error as Error).message}`,
      "give this user the folder, or choose another with data in the configuration",
    );
  }
}

/** `data/<node>/pid`, for scripts. To be written once the folder's lock is held; answers what removes it. */
export function writePidFile(folder: string): () => void {
  const file = join(folder, "pid");
  writeFileSync(file, `${process.pid}\n`);
  return () => {
    // Only our own: after a restart in haste it may be the successor's.
    if (existsSync(file) && readFileSync(file, "utf8").trim() === String(process.pid)) rmSync(file);
  };
}
