import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { Vfs } from "../api.js";
import { crashPoint } from "../crash-points.js";
import { filenodeMutants } from "../mutants.js";
import { EFFECTS_FOLDER, parentOf } from "../paths.js";
import { effectName, ensureEffectsFolder, unless } from "./names.js";
import type { Effect, EffectOutcome } from "./outcome.js";

const READ_ONLY = 0x1;

/**
 * Creates a file so that a crash anywhere leaves a question with an answer: first under the effect's own name, durable,
 * then linked into place. A link never replaces, and as long as the effect's own name stands, whoever compares the two
 * knows whether the file at the target is this effect's. The own name goes only after the outcome is recorded.
 *
 * Running it again is harmless and completes it; that is how it is resolved.
 */
export async function createFile(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  if (filenodeMutants.createInPlace) return createInPlace(vfs, effect);
  const own = effectName(effect.id);
  await ensureEffectsFolder(vfs);
  await makeOwnFile(vfs, own, effect, "create.temp");
  crashPoint("create.temp-synced");
  const linked = await unless(ErrorCode.OBJECT_NAME_COLLISION, vfs.link(own, effect.path));
  const mine = await vfs.stat(own);
  if (!linked && (await vfs.stat(effect.path))?.fileId !== mine?.fileId)
    throw new HoldfastError(ErrorCode.OBJECT_NAME_COLLISION, `${effect.path}: something stands there`);
  crashPoint("create.linked");
  await vfs.syncDirectory(parentOf(effect.path));
  crashPoint("create.synced");
  return { fileId: mine?.fileId ?? "", size: 0, directory: false, createAction: v1.CreateAction.CREATED };
}

/** Makes the empty file under the effect's own name, durable; a second run finds it. */
export async function makeOwnFile(
  vfs: Vfs,
  own: string,
  effect: Effect,
  made: "create.temp" | "supersede.temp",
): Promise<void> {
  await unless(
    ErrorCode.OBJECT_NAME_COLLISION,
    vfs.create(own).then((file) => file.close()),
  );
  crashPoint(made);
  if ((effect.attributes & READ_ONLY) !== 0) await vfs.setAttributes(own, { readOnly: true });
  // Read-only descriptors sync too, and the file may be read-only by now.
  const file = await vfs.open(own, { write: false });
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await vfs.syncDirectory(EFFECTS_FOLDER);
}

async function createInPlace(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const file = await vfs.create(effect.path);
  const stat = await file.stat();
  await file.sync();
  await file.close();
  await vfs.syncDirectory(parentOf(effect.path));
  return { fileId: stat.fileId, size: 0, directory: false, createAction: v1.CreateAction.CREATED };
}
