import { ErrorCode } from "../../wire/errors.js";
import type { Vfs } from "../api.js";
import { crashPoint } from "../crash-points.js";
import { EFFECTS_FOLDER, parentOf } from "../paths.js";
import { effectName, ensureEffectsFolder, removeIfThere, unless } from "./names.js";
import type { Effect, EffectOutcome } from "./outcome.js";

const GONE: EffectOutcome = { fileId: "", size: 0, directory: false };

/**
 * Deletes the file or folder that the intent named, and no other. A file is first moved to the effect's own name and
 * looked at there: an owner that was paused between look and unlink would otherwise delete a new file of that name.
 */
export async function deleteNamed(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const stat = await vfs.stat(effect.path);
  if (stat !== null && (effect.fileId === "" || stat.fileId === effect.fileId)) {
    if (stat.directory) await vfs.removeDirectory(effect.path);
    else await moveAway(vfs, effect);
  }
  await vfs.syncDirectory(parentOf(effect.path));
  crashPoint("delete.synced");
  await removeIfThere(vfs, effectName(effect.id, ".d"));
  crashPoint("delete.unlinked");
  return GONE;
}

async function moveAway(vfs: Vfs, effect: Effect): Promise<void> {
  const grave = effectName(effect.id, ".d");
  await ensureEffectsFolder(vfs);
  await vfs.rename(effect.path, grave);
  crashPoint("delete.moved");
  const moved = await vfs.stat(grave);
  if (moved === null || effect.fileId === "" || moved.fileId === effect.fileId) return;
  // It was another one after all: back with it. If the name was taken again meanwhile, it is kept for the operator.
  if (await unless(ErrorCode.OBJECT_NAME_COLLISION, vfs.link(grave, effect.path))) return;
  await vfs.rename(grave, `${EFFECTS_FOLDER}/lost-${effect.id}`);
}
