import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Vfs, VfsStat } from "../api.js";
import { crashPoint } from "../crash-points.js";
import { EFFECTS_FOLDER, parentOf } from "../paths.js";
import { effectName, ensureEffectsFolder, removeIfThere, unless } from "./names.js";
import type { Effect, EffectOutcome } from "./outcome.js";

/**
 * Gives the file that the intent named another name. Decided by identity: the target is our file means that it is done
 * but for the old name. Without replace a file is linked first, since a rename would silently replace.
 */
export async function renameNamed(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const source = await vfs.stat(effect.path);
  const target = await vfs.stat(effect.targetPath);
  const ours = (stat: VfsStat | null) => stat !== null && stat.fileId === effect.fileId;
  if (!ours(target)) {
    if (!ours(source) || source === null)
      throw new HoldfastError(ErrorCode.OBJECT_NAME_NOT_FOUND, `${effect.path}: the file is gone`);
    await moveTo(vfs, effect, source, target);
  } else if (ours(source) && effect.path !== effect.targetPath) {
    await vfs.unlink(effect.path);
  }
  crashPoint("rename.unlinked");
  await vfs.syncDirectory(parentOf(effect.targetPath));
  if (parentOf(effect.path) !== parentOf(effect.targetPath)) await vfs.syncDirectory(parentOf(effect.path));
  crashPoint("rename.synced");
  const now = await vfs.stat(effect.targetPath);
  return { fileId: effect.fileId, size: now?.size ?? 0, directory: now?.directory ?? false };
}

async function moveTo(vfs: Vfs, effect: Effect, source: VfsStat, target: VfsStat | null): Promise<void> {
  if (target !== null && !effect.replace) throw collision(effect.targetPath);
  if (source.directory || effect.replace) {
    await vfs.rename(effect.path, effect.targetPath);
    crashPoint("rename.renamed");
    return;
  }
  if (!(await unless(ErrorCode.OBJECT_NAME_COLLISION, vfs.link(effect.path, effect.targetPath))))
    throw collision(effect.targetPath);
  crashPoint("rename.linked");
  await vfs.syncDirectory(parentOf(effect.targetPath));
  crashPoint("rename.linked-synced");
  await vfs.unlink(effect.path);
}

/** Gives a file a second name. */
export async function linkNamed(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const source = await vfs.stat(effect.path);
  const target = await vfs.stat(effect.targetPath);
  if (target?.fileId !== effect.fileId) {
    if (source === null || source.fileId !== effect.fileId)
      throw new HoldfastError(ErrorCode.OBJECT_NAME_NOT_FOUND, `${effect.path}: the file is gone`);
    if (effect.replace) await linkOver(vfs, effect);
    else if (!(await unless(ErrorCode.OBJECT_NAME_COLLISION, vfs.link(effect.path, effect.targetPath))))
      throw collision(effect.targetPath);
  }
  crashPoint("link.linked");
  await vfs.syncDirectory(parentOf(effect.targetPath));
  crashPoint("link.synced");
  return { fileId: effect.fileId, size: source?.size ?? 0, directory: false };
}

// There is no link that replaces: a second name that is renamed over the target does the same in one step.
async function linkOver(vfs: Vfs, effect: Effect): Promise<void> {
  const second = effectName(effect.id, ".n");
  await ensureEffectsFolder(vfs);
  await removeIfThere(vfs, second);
  await vfs.link(effect.path, second);
  crashPoint("link.second-name");
  await vfs.rename(second, effect.targetPath);
  await vfs.syncDirectory(EFFECTS_FOLDER);
}

function collision(path: string): HoldfastError {
  return new HoldfastError(ErrorCode.OBJECT_NAME_COLLISION, `${path}: something stands there`);
}
