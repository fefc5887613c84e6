import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Vfs, VfsStat } from "../api.js";
import { EFFECTS_FOLDER } from "../paths.js";

/** The marked temporary name of an effect: whoever finds it knows whose work it is. `part` tells several of one effect apart. */
export function effectName(effectId: number, part = ""): string {
  return `${EFFECTS_FOLDER}/e${effectId}${part}`;
}

/** The effect that a name in the effects folder belongs to, or null. */
export function effectOfName(name: string): number | null {
  const match = /^e(\d+)/.exec(name);
  return match === null ? null : Number(match[1]);
}

/** Makes the folder for temporary names, once; a second node may be doing the same. */
export async function ensureEffectsFolder(vfs: Vfs): Promise<void> {
  const stat = await vfs.stat(EFFECTS_FOLDER);
  if (stat !== null) return;
  await unless(ErrorCode.OBJECT_NAME_COLLISION, vfs.makeDirectory(EFFECTS_FOLDER));
  await vfs.syncDirectory("");
}

/** Resolves false when the operation fails with this code, true when it works; other errors go on. */
export async function unless(code: ErrorCode, operation: Promise<unknown>): Promise<boolean> {
  try {
    await operation;
    return true;
  } catch (error) {
    if (error instanceof HoldfastError && error.code === code) return false;
    throw error;
  }
}

/** Takes a name away if it is there; a folder of temporary names that was never made holds none. */
export async function removeIfThere(vfs: Vfs, path: string): Promise<void> {
  try {
    await vfs.unlink(path);
  } catch (error) {
    if (error instanceof HoldfastError && ABSENT.has(error.code)) return;
    throw error;
  }
}

const ABSENT = new Set([ErrorCode.OBJECT_NAME_NOT_FOUND, ErrorCode.OBJECT_PATH_NOT_FOUND]);

/** What stands at `path`, which must be the file that the intent named. */
export async function expectIdentity(vfs: Vfs, path: string, fileId: string): Promise<VfsStat> {
  const stat = await vfs.stat(path);
  if (stat === null)
    throw new HoldfastError(ErrorCode.OBJECT_NAME_NOT_FOUND, `${path}: nothing stands there any more`);
  if (fileId !== "" && stat.fileId !== fileId)
    throw new HoldfastError(
      ErrorCode.FILE_NOT_AVAILABLE,
      `${path}: another file stands there now (${stat.fileId} instead of ${fileId})`,
    );
  return stat;
}
