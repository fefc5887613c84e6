import { cloneCore, fingerprint, messageText } from "../../src/raft/clone.js";
import type { Core } from "../../src/raft/core.js";
import { type Effects, Message, type RaftId } from "../../src/raft/index.js";
import type { Progress } from "../../src/raft/progress/progress.js";

type Batch = NonNullable<Effects["persist"]>;

/** The two members that may change places: the first candidate is always member 1. */
const [ONE, OTHER] = [2, 3];

/** The same world with members 2 and 3 in each other's place. */
export function otherId(id: RaftId): RaftId {
  if (id === ONE) return OTHER;
  return id === OTHER ? ONE : id;
}

/** The message that goes between the mirrored members. */
export function otherMessage(message: Message): Message {
  const copy = Object.assign(new Message(message.kind, 0, 0, 0), message);
  copy.from = otherId(message.from);
  copy.to = otherId(message.to);
  return copy;
}

/**
 * What `fingerprint` says of the mirrored member. Only for scopes without membership changes and reads: then members are
 * told apart by nothing but their ids.
 */
export function otherFingerprint(core: Core): string {
  const copy = cloneCore(core);
  Object.assign(copy, { id: otherId(core.id), options: { ...core.options, id: otherId(core.id) } });
  copy.vote = otherId(core.vote);
  copy.leader = otherId(core.leader);
  copy.leaderOfTerm = otherId(core.leaderOfTerm);
  copy.votes = new Map([...core.votes].map(([id, vote]) => [otherId(id), vote]));
  const { ids, items } = copy.tracker;
  const [one, other] = [ids.indexOf(ONE), ids.indexOf(OTHER)];
  if (one >= 0 && other >= 0) [items[one], items[other]] = [items[other] as Progress, items[one] as Progress];
  if (copy.lead !== null)
    copy.lead.awaited = new Map([...copy.lead.awaited].map(([id, index]) => [otherId(id), index]));
  copy.messages = core.messages.map(otherMessage);
  copy.afterMessages = core.afterMessages.map(otherMessage);
  copy.outstanding = core.outstanding.map((batch) => ({ ...batch, self: batch.self.map(otherMessage) }));
  return fingerprint(copy);
}

/** A batch that waits for the disk, mirrored. */
export function otherBatch(batch: Batch): Batch {
  const { hardState } = batch;
  return {
    ...batch,
    hardState: hardState === null ? null : { ...hardState, vote: otherId(hardState.vote) },
    after: batch.after.map(otherMessage),
  };
}

/** 64 bits of hash of a text, as two words. */
export interface Hash {
  readonly a: number;
  readonly b: number;
}

/** Hash of a text; every part of a world has one, and one of its mirror image. */
export function hashOf(text: string): Hash {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b);
    b ^= b >>> 15;
  }
  return { a: mixed(a), b: mixed(b ^ a) };
}

/** Spreads a word over all its bits. */
export function mixed(word: number): number {
  let z = word | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}

/** Hashes of a message and of its mirror image. */
export function messageHashes(message: Message): { readonly own: Hash; readonly other: Hash } {
  return { own: hashOf(messageText(message)), other: hashOf(messageText(otherMessage(message))) };
}
