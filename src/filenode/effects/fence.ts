import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Vfs, VfsStat } from "../api.js";
import { crashPoint } from "../crash-points.js";
import { EFFECTS_FOLDER, parentOf } from "../paths.js";
import { effectName, ensureEffectsFolder, expectIdentity, removeIfThere, unless } from "./names.js";
import type { Effect, EffectOutcome } from "./outcome.js";

/**
 * Puts a copy in the place of a file that a former owner may still be writing to: what it has on its way lands in the file
 * that lost its name, and nobody ever reads it (design section 5). Blocks are shared where the file system can; elsewhere
 * it costs reading and writing the file once.
 *
 * The copy is made under a name of its own first, then under the effect's: so a half copy is never taken for a whole one.
 */
export async function continueOnCopy(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const second = effectName(effect.id, ".n");
  await ensureEffectsFolder(vfs);
  const mine = (await vfs.stat(effectName(effect.id))) ?? (await makeCopy(vfs, effect));
  const standing = await vfs.stat(effect.path);
  if (standing?.fileId !== mine.fileId) {
    if (standing === null || standing.fileId !== effect.fileId)
      throw new HoldfastError(ErrorCode.FILE_NOT_AVAILABLE, `${effect.path}: another file stands there now`);
    await unless(ErrorCode.OBJECT_NAME_COLLISION, vfs.link(effectName(effect.id), second));
    crashPoint("fence.second-name");
    await vfs.rename(second, effect.path);
  }
  crashPoint("fence.renamed");
  await vfs.syncDirectory(parentOf(effect.path));
  await vfs.syncDirectory(EFFECTS_FOLDER);
  crashPoint("fence.synced");
  return { fileId: mine.fileId, size: mine.size, directory: false };
}

async function makeCopy(vfs: Vfs, effect: Effect): Promise<VfsStat> {
  const work = effectName(effect.id, ".w");
  const source = await expectIdentity(vfs, effect.path, effect.fileId);
  await removeIfThere(vfs, work);
  await vfs.copy(effect.path, work);
  await vfs.setAttributes(work, { readOnly: source.readOnly, modifiedMs: source.modifiedMs });
  const file = await vfs.open(work, { write: false });
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  crashPoint("fence.copied");
  await vfs.rename(work, effectName(effect.id));
  await vfs.syncDirectory(EFFECTS_FOLDER);
  crashPoint("fence.named");
  const made = await vfs.stat(effectName(effect.id));
  if (made === null) throw new HoldfastError(ErrorCode.INTERNAL, `the copy of ${effect.path} is gone`);
  return made;
}
