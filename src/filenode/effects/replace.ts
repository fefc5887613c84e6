import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { Vfs, VfsFile } from "../api.js";
import { crashPoint } from "../crash-points.js";
import { EFFECTS_FOLDER, parentOf } from "../paths.js";
import { makeOwnFile } from "./create.js";
import { effectName, ensureEffectsFolder, expectIdentity, unless } from "./names.js";
import type { Effect, EffectOutcome, EffectRun } from "./outcome.js";

/** Opens the file that the intent named, for writing, and makes sure that it is that one. */
export async function openExpected(vfs: Vfs, path: string, fileId: string): Promise<VfsFile> {
  await expectIdentity(vfs, path, fileId);
  const file = await vfs.open(path, { write: true });
  const stat = await file.stat();
  if (fileId === "" || stat.fileId === fileId) return file;
  await file.close();
  throw new HoldfastError(ErrorCode.FILE_NOT_AVAILABLE, `${path}: it was replaced while it was opened`);
}

/**
 * Cuts a file to nothing when it is opened with overwrite; it stays the same file. When it is resolved, a file that is
 * shorter than the intent says was cut already: cutting again could lose what another handle wrote since.
 */
export async function overwriteFile(vfs: Vfs, effect: Effect, run: EffectRun): Promise<EffectOutcome> {
  const file = await openExpected(vfs, effect.path, effect.fileId);
  try {
    const before = await file.stat();
    const uncut = effect.sizeBefore > 0 && before.size >= effect.sizeBefore;
    if (run === "first" || uncut) await file.truncate(0);
    crashPoint("overwrite.truncated");
    await file.sync();
    crashPoint("overwrite.synced");
    const size = (await file.stat()).size;
    return { fileId: effect.fileId, size, directory: false, createAction: v1.CreateAction.OVERWRITTEN };
  } finally {
    await file.close();
  }
}

/**
 * Puts a new, empty file in the place of an old one. The new file keeps the effect's own name beside its second one,
 * which is renamed over the target: so the target either is this effect's file or the step is still to be done.
 */
export async function supersedeFile(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const own = effectName(effect.id);
  const second = effectName(effect.id, ".n");
  await ensureEffectsFolder(vfs);
  await makeOwnFile(vfs, own, effect, "supersede.temp");
  crashPoint("supersede.temp-synced");
  const mine = await vfs.stat(own);
  const standing = await vfs.stat(effect.path);
  if (standing?.fileId !== mine?.fileId) {
    if (standing !== null && effect.fileId !== "" && standing.fileId !== effect.fileId)
      throw new HoldfastError(ErrorCode.FILE_NOT_AVAILABLE, `${effect.path}: another file stands there now`);
    await unless(ErrorCode.OBJECT_NAME_COLLISION, vfs.link(own, second));
    crashPoint("supersede.second-name");
    await vfs.rename(second, effect.path);
  }
  crashPoint("supersede.renamed");
  await vfs.syncDirectory(parentOf(effect.path));
  await vfs.syncDirectory(EFFECTS_FOLDER);
  crashPoint("supersede.synced");
  return {
    fileId: mine?.fileId ?? "",
    size: 0,
    directory: false,
    createAction: v1.CreateAction.SUPERSEDED,
  };
}

/** Sets the end of a file. State-setting: to do it again is the same, as long as nobody wrote in between. */
export async function truncateFile(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const file = await openExpected(vfs, effect.path, effect.fileId);
  try {
    if ((await file.stat()).size !== effect.length) await file.truncate(effect.length);
    crashPoint("truncate.done");
    await file.sync();
    crashPoint("truncate.synced");
    return { fileId: effect.fileId, size: effect.length, directory: false };
  } finally {
    await file.close();
  }
}
