import { type ConfChange, ConfChangeKind, ConfTransition, type Entry, EntryKind } from "../types.js";

const HEADER_BYTES = 3;
const CHANGE_BYTES = 5;
/** Changes in one membership change; far more than any group has members. */
export const CONF_CHANGES_MAX = 255;

/** The empty change: leaves a joint configuration. Its encoding is empty, so that no size limit can refuse it. */
export const LEAVE_JOINT: ConfChange = Object.freeze({
  transition: ConfTransition.Auto,
  changes: [],
  context: new Uint8Array(0),
});

/**
 * A membership change as the data of its entry: format 1, transition, count, then kind and id (u32, little endian) of
 * each change, then the context. The change that leaves a joint configuration is empty.
 */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const { transition, changes, context } = change;
  if (transition === ConfTransition.Auto && changes.length === 0 && context.length === 0)
    return new Uint8Array(0);
  if (changes.length > CONF_CHANGES_MAX) {
    throw new RangeError(
      `a membership change holds at most ${CONF_CHANGES_MAX} changes, not ${changes.length}`,
    );
  }
  const bytes = new Uint8Array(HEADER_BYTES + changes.length * CHANGE_BYTES + context.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 1;
  bytes[1] = transition;
  bytes[2] = changes.length;
  let at = HEADER_BYTES;
  for (const { kind, id } of changes) {
    bytes[at] = kind;
    view.setUint32(at + 1, id, true);
    at += CHANGE_BYTES;
  }
  bytes.set(context, at);
  return bytes;
}

/** The change that an entry of kind ConfChange or ConfChangeV2 holds. Throws RangeError for bytes that hold none. */
export function decodeConfChange(entry: Entry): ConfChange {
  if (entry.kind === EntryKind.Normal)
    throw new RangeError(`entry ${entry.index} holds no membership change`);
  const bytes = entry.data;
  if (bytes.length === 0) return LEAVE_JOINT;
  const count = bytes[2] ?? 0;
  const end = HEADER_BYTES + count * CHANGE_BYTES;
  const transition = bytes[1] as ConfTransition;
  if (bytes[0] !== 1 || bytes.length < end || transition > ConfTransition.JointExplicit) {
    throw new RangeError(`entry ${entry.index} holds a membership change of an unknown format`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const changes: { kind: ConfChangeKind; id: number }[] = [];
  for (let at = HEADER_BYTES; at < end; at += CHANGE_BYTES) {
    const kind = bytes[at] as ConfChangeKind;
    if (kind > ConfChangeKind.AddLearner) {
      throw new RangeError(`entry ${entry.index} holds a membership change of unknown kind ${kind}`);
    }
    changes.push({ kind, id: view.getUint32(at + 1, true) });
  }
  return { transition, changes, context: bytes.subarray(end) };
}

const LETTERS = {
  v: ConfChangeKind.AddVoter,
  l: ConfChangeKind.AddLearner,
  r: ConfChangeKind.RemoveNode,
  u: ConfChangeKind.UpdateNode,
};
const LETTER_OF = ["v", "r", "u", "l"];

/** `v1 l2 r3 u4`: add voter 1, add learner 2, remove 3, update 4. */
export function describeChanges(changes: ConfChange["changes"]): string {
  return changes.map(({ kind, id }) => `${LETTER_OF[kind]}${id}`).join(" ");
}

/** The inverse of `describeChanges`. Throws RangeError for anything else. */
export function parseChanges(text: string): ConfChange["changes"] {
  const words = text
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "");
  return words.map((word) => {
    const kind = LETTERS[word[0] as keyof typeof LETTERS];
    const id = Number(word.slice(1));
    if (kind === undefined || word.length < 2 || !Number.isSafeInteger(id))
      throw new RangeError(`unknown input: ${word}`);
    return { kind, id };
  });
}
