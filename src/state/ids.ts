/**
 * Binary ids as one-byte strings: 32 bytes of memory instead of more than 200 for a Uint8Array, and usable as map keys.
 * A million handles within a kilobyte each depends on it.
 */
export type Id = string;

/** The id's bytes as a string of as many characters; empty for absent bytes. */
export function idOf(bytes: Uint8Array | null | undefined): Id {
  if (!bytes || bytes.length === 0) return "";
  return Buffer.isBuffer(bytes)
    ? bytes.toString("latin1")
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** The bytes of an id, in memory of their own. */
export function bytesOf(id: Id): Uint8Array {
  const bytes = new Uint8Array(id.length);
  for (let i = 0; i < id.length; i++) bytes[i] = id.charCodeAt(i);
  return bytes;
}

/** For people: the first half of the id in hexadecimal. */
export function shortHex(id: Id): string {
  let text = "";
  for (let i = 0; i < Math.min(id.length, 8); i++) text += id.charCodeAt(i).toString(16).padStart(2, "0");
  return text;
}

/** A copy that does not pin the network buffer it was decoded from. */
export function own(bytes: Uint8Array | null | undefined): Uint8Array {
  return bytes && bytes.length > 0 ? new Uint8Array(bytes) : EMPTY;
}

/** No bytes. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/** Length in UTF-8, of a string that may hold anything. */
export function utf8Length(text: string): number {
  return Buffer.byteLength(text, "utf8");
}
