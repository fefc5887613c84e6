import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { Vfs } from "../api.js";
import { crashPoint } from "../crash-points.js";
import { EFFECTS_FOLDER, parentOf } from "../paths.js";
import { effectName, ensureEffectsFolder, unless } from "./names.js";
import type { Effect, EffectOutcome } from "./outcome.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Makes a folder under the effect's own name, writes down its identity beside it, and renames it into place. A folder
 * has one name only, so it is the note that tells later whether the folder at the target is this effect's.
 */
export async function makeDirectory(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const own = effectName(effect.id);
  const note = effectName(effect.id, ".id");
  await ensureEffectsFolder(vfs);
  const noted = await readNote(vfs, note);
  const standing = await vfs.stat(effect.path);
  // The name may stand there unsynced: its maker died before that, and what is on record must outlive the power.
  if (noted !== "" && standing?.fileId === noted) return named(vfs, effect, noted);
  if (noted !== "" && (await vfs.stat(own)) === null) return done(noted);
  if (standing !== null) {
    await unless(ErrorCode.OBJECT_NAME_NOT_FOUND, vfs.removeDirectory(own));
    throw new HoldfastError(ErrorCode.OBJECT_NAME_COLLISION, `${effect.path}: something stands there`);
  }
  await unless(ErrorCode.OBJECT_NAME_COLLISION, vfs.makeDirectory(own));
  crashPoint("mkdir.temp");
  const fileId = (await vfs.stat(own))?.fileId ?? "";
  await writeNote(vfs, note, fileId);
  crashPoint("mkdir.marked");
  await vfs.rename(own, effect.path);
  crashPoint("mkdir.renamed");
  return named(vfs, effect, fileId);
}

/** The folder has its name; it is to keep it. */
async function named(vfs: Vfs, effect: Effect, fileId: string): Promise<EffectOutcome> {
  await vfs.syncDirectory(parentOf(effect.path));
  await vfs.syncDirectory(EFFECTS_FOLDER);
  crashPoint("mkdir.synced");
  return done(fileId);
}

function done(fileId: string): EffectOutcome {
  return { fileId, size: 0, directory: true, createAction: v1.CreateAction.CREATED };
}

// Torn or empty notes end without the mark: then the rename cannot have been done.
async function readNote(vfs: Vfs, path: string): Promise<string> {
  if ((await vfs.stat(path)) === null) return "";
  const file = await vfs.open(path, { write: false });
  try {
    const text = decoder.decode(await file.read(0, 256));
    return text.endsWith("\n") ? text.slice(0, -1) : "";
  } finally {
    await file.close();
  }
}

async function writeNote(vfs: Vfs, path: string, fileId: string): Promise<void> {
  await unless(
    ErrorCode.OBJECT_NAME_COLLISION,
    vfs.create(path).then((file) => file.close()),
  );
  const file = await vfs.open(path, { write: true });
  try {
    await file.truncate(0);
    await file.write(0, encoder.encode(`${fileId}\n`));
    await file.sync();
  } finally {
    await file.close();
  }
  await vfs.syncDirectory(EFFECTS_FOLDER);
}
