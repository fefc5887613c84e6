import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { Vfs } from "../api.js";
import { crashPoint } from "../crash-points.js";
import { EFFECTS_FOLDER } from "../paths.js";
import { appendData, resolveAppend } from "./append.js";
import { createFile } from "./create.js";
import { makeDirectory } from "./make-directory.js";
import { continueOnCopy } from "./fence.js";
import { effectName, effectOfName, expectIdentity, removeIfThere, unless } from "./names.js";
import { type Effect, type EffectOutcome, type EffectRun, effectOf } from "./outcome.js";
import { deleteNamed } from "./remove.js";
import { linkNamed, renameNamed } from "./rename.js";
import { overwriteFile, supersedeFile, truncateFile } from "./replace.js";

export type { EffectOutcome } from "./outcome.js";

/**
 * Does what an intent announced; `data` is what an append carries. Throws the reason when it could not be done, and then
 * nothing of it is left. After STORAGE_FAILED nobody knows: the effect stays pending for a resolver.
 */
export function performEffect(vfs: Vfs, record: v1.IEffectRecord, data?: Uint8Array): Promise<EffectOutcome> {
  return run(vfs, record, "first", data);
}

/**
 * Ends an effect that somebody else left pending, by looking at the storage: completes it, or takes it back and throws
 * why. Running it twice, or beside a late original, does no more than running it once (semantics.md C4).
 */
export function resolveEffect(vfs: Vfs, record: v1.IEffectRecord): Promise<EffectOutcome> {
  return run(vfs, record, "resolve", undefined);
}

/** The temporary names that are still there when an effect of a kind is done. */
const LEFT: Partial<Record<v1.EffectKind, readonly string[]>> = {
  [v1.EffectKind.EFFECT_CREATE]: [""],
  [v1.EffectKind.EFFECT_SUPERSEDE]: ["", ".n"],
  [v1.EffectKind.EFFECT_MKDIR]: ["", ".id"],
  [v1.EffectKind.EFFECT_LINK]: [".n"],
  [v1.EffectKind.EFFECT_DELETE]: [".d"],
  [v1.EffectKind.EFFECT_FENCE]: ["", ".n", ".w"],
};
const ALL = ["", ".id", ".n", ".d", ".w"];

/** Removes the temporary names of an effect whose outcome is recorded; without its record, all that it may have. */
export async function cleanEffect(vfs: Vfs, effectId: number, record?: v1.IEffectRecord): Promise<void> {
  const kind = record?.directory ? v1.EffectKind.EFFECT_MKDIR : record?.kind;
  const parts = record === undefined ? ALL : (LEFT[kind ?? 0] ?? []);
  for (const part of parts) {
    const name = effectName(effectId, part);
    if (!(await unless(ErrorCode.FILE_IS_A_DIRECTORY, removeIfThere(vfs, name))))
      await vfs.removeDirectory(name);
  }
}

/**
 * Removes what effects left behind whose node died between outcome and cleaning. The names are read before it is asked
 * which effects are pending: a name is made only after its intent is recorded, so one that is not pending then is over.
 */
export async function cleanLeavings(
  vfs: Vfs,
  pendingNow: () => Promise<ReadonlySet<number>>,
  pageSize = 1000,
): Promise<number> {
  if ((await vfs.stat(EFFECTS_FOLDER)) === null) return 0;
  const found = new Set<number>();
  let after = "";
  for (let more = true; more; ) {
    const page = await vfs.list(EFFECTS_FOLDER, after, pageSize);
    for (const name of page.names) found.add(effectOfName(name) ?? -1);
    after = page.names[page.names.length - 1] ?? "";
    more = page.more;
  }
  found.delete(-1);
  if (found.size === 0) return 0;
  const pending = await pendingNow();
  let cleaned = 0;
  for (const id of found) {
    if (pending.has(id)) continue;
    await cleanEffect(vfs, id);
    cleaned += 1;
  }
  return cleaned;
}

function run(
  vfs: Vfs,
  record: v1.IEffectRecord,
  how: EffectRun,
  data: Uint8Array | undefined,
): Promise<EffectOutcome> {
  const effect = effectOf(record);
  switch (record.kind) {
    case v1.EffectKind.EFFECT_CREATE:
      return effect.directory ? makeDirectory(vfs, effect) : createFile(vfs, effect);
    case v1.EffectKind.EFFECT_MKDIR:
      return makeDirectory(vfs, effect);
    case v1.EffectKind.EFFECT_OVERWRITE:
      return overwriteFile(vfs, effect, how);
    case v1.EffectKind.EFFECT_SUPERSEDE:
      return supersedeFile(vfs, effect);
    case v1.EffectKind.EFFECT_DELETE:
      return deleteNamed(vfs, effect);
    case v1.EffectKind.EFFECT_RENAME:
      return renameNamed(vfs, effect);
    case v1.EffectKind.EFFECT_LINK:
      return linkNamed(vfs, effect);
    case v1.EffectKind.EFFECT_TRUNCATE:
      return truncateFile(vfs, effect);
    case v1.EffectKind.EFFECT_APPEND:
      return data === undefined ? resolveAppend(vfs, effect) : appendData(vfs, effect, data);
    case v1.EffectKind.EFFECT_FENCE:
      return continueOnCopy(vfs, effect);
    case v1.EffectKind.EFFECT_SET_ATTRIBUTES:
      return setAttributes(vfs, effect);
    default:
      throw new HoldfastError(
        ErrorCode.NOT_SUPPORTED,
        `effect kind ${record.kind} is not known to this node`,
        {
          next: "update the node's software",
        },
      );
  }
}

async function setAttributes(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const stat = await expectIdentity(vfs, effect.path, effect.fileId);
  const change = v1.SetInfoRequest.decode(effect.description);
  if (change.change === "attributes")
    await vfs.setAttributes(effect.path, { readOnly: ((change.attributes ?? 0) & 0x1) !== 0 });
  if (change.change === "modifiedMs")
    await vfs.setAttributes(effect.path, { modifiedMs: change.modifiedMs ?? 0 });
  crashPoint("attributes.set");
  return { fileId: stat.fileId, size: stat.size, directory: stat.directory };
}
