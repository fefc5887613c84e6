import { createHash } from "node:crypto";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Vfs, VfsFile } from "../api.js";
import { crashPoint } from "../crash-points.js";
import { filenodeMutants } from "../mutants.js";
import { effectName, ensureEffectsFolder, removeIfThere } from "./names.js";
import { openExpected } from "./replace.js";
import { type Effect, type EffectOutcome, TakenBack } from "./outcome.js";

/** Names a piece of data: by it a new owner, who has not got the data, recognises it in the file. */
export function digestOf(data: Uint8Array): Uint8Array {
  return createHash("sha256").update(data).digest().subarray(0, 16);
}

/** Writes at the offset that the intent gave out, not at what the end of the file may be by now. */
export async function appendData(vfs: Vfs, effect: Effect, data: Uint8Array): Promise<EffectOutcome> {
  const file = await openExpected(vfs, effect.path, effect.fileId);
  try {
    const earlier = await standsEarlier(file, effect);
    if (earlier !== null) return earlier;
    const { size } = await file.stat();
    // Done by an earlier attempt whose outcome could not be recorded: the offset was given to this append alone.
    if (size !== effect.offset && !filenodeMutants.appendAgain && (await stands(file, effect))) {
      await file.sync();
      return { fileId: effect.fileId, size: effect.offset + data.length, directory: false };
    }
    // Somebody wrote behind the end after the offset was given out: nothing is done yet, a new offset is needed.
    if (size !== effect.offset && !filenodeMutants.appendAgain)
      throw new HoldfastError(ErrorCode.NOT_READY, `${effect.path} grew from ${effect.offset} to ${size}`);
    await file.write(size, data);
    crashPoint("append.written");
    await file.sync();
    crashPoint("append.synced");
    return { fileId: effect.fileId, size: effect.offset + data.length, directory: false };
  } finally {
    await file.close();
  }
}

/**
 * The new owner has the offset, the length and the digest, but not the data. Either the data stands there, then it is
 * done; or what came of it is cut off again and the client, who has the data, runs it anew.
 */
export async function resolveAppend(vfs: Vfs, effect: Effect): Promise<EffectOutcome> {
  const file = await openExpected(vfs, effect.path, effect.fileId);
  try {
    const end = effect.offset + effect.length;
    const standing = await stands(file, effect);
    if (!standing) await untilChangesPass(vfs, effect);
    const earlier = await standsEarlier(file, effect);
    if (earlier !== null) return earlier;
    if (standing || (await stands(file, effect))) {
      await file.sync();
      return { fileId: effect.fileId, size: end, directory: false };
    }
    await takeBack(file, effect.offset, end);
  } finally {
    await file.close();
  }
  throw new TakenBack(
    ErrorCode.NOT_READY,
    `${effect.path}: the append at ${effect.offset} was not completed before its node died; it was taken back`,
    { next: "send it again under the same request id", retryAfterMs: 1 },
  );
}

/**
 * A share that hangs may hold the former owner's write in its kernel while reads go through: what is not there then may
 * still come, after the append was taken back and while the client has it run anew. A change of our own waits behind the
 * same obstacle. It must do no harm if it, too, comes late: it only makes and removes the effect's own name.
 */
async function untilChangesPass(vfs: Vfs, effect: Effect): Promise<void> {
  const own = effectName(effect.id);
  try {
    await ensureEffectsFolder(vfs);
    const file = await vfs.create(own);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // An answer, whichever, says that changes are answered again.
    if (!(error instanceof HoldfastError) || !ANSWERED.has(error.code)) throw error;
  }
  await removeIfThere(vfs, own);
}

const ANSWERED: ReadonlySet<ErrorCode> = new Set([ErrorCode.DISK_FULL, ErrorCode.OBJECT_NAME_COLLISION]);

/**
 * An attempt that was taken back may have landed after all, when nobody looked any more: storage had held the write. No
 * other append has been done since, so what stands there is this one's.
 */
async function standsEarlier(file: VfsFile, effect: Effect): Promise<EffectOutcome | null> {
  if (filenodeMutants.takenBackForgotten) return null;
  for (const offset of effect.earlierOffsets) {
    if (!(await stands(file, { ...effect, offset }))) continue;
    await file.sync();
    return { fileId: effect.fileId, size: (await file.stat()).size, directory: false, offset };
  }
  return null;
}

/** Whether the data of this append lies at the offset that it was given. */
async function stands(file: VfsFile, effect: Effect): Promise<boolean> {
  const standing = await file.read(effect.offset, effect.length);
  return standing.length === effect.length && Buffer.compare(digestOf(standing), effect.dataDigest) === 0;
}

async function takeBack(file: VfsFile, offset: number, end: number): Promise<void> {
  const size = (await file.stat()).size;
  if (size <= offset) return;
  if (size <= end) await file.truncate(offset);
  // Somebody appended behind it: its place stays, as zeros.
  else await file.write(offset, new Uint8Array(end - offset));
  await file.sync();
}
