/** Kinds of record on disk, by the first byte of their key. Never renumbered. */
export const Kind = {
  cluster: 0x01,
  member: 0x02,
  node: 0x03,
  session: 0x10,
  slot: 0x11,
  handle: 0x20,
  lease: 0x21,
  effect: 0x30,
  pending: 0x31,
  nameChange: 0x32,
  resumeKey: 0x40,
  operation: 0x50,
  failover: 0x51,
} as const;

/** A record kind's first byte. */
export type Kind = (typeof Kind)[keyof typeof Kind];

/** Kind and a number, big-endian so that keys sort by it. */
export function numberKey(kind: Kind, value: number, then?: number): Uint8Array {
  const key = new Uint8Array(then === undefined ? 9 : 13);
  key[0] = kind;
  const view = new DataView(key.buffer);
  view.setUint32(1, Math.floor(value / 4294967296));
  view.setUint32(5, value >>> 0);
  if (then !== undefined) view.setUint32(9, then);
  return key;
}

/** Kind and an id of one-byte characters. */
export function idKey(kind: Kind, id: string): Uint8Array {
  const key = new Uint8Array(1 + id.length);
  key[0] = kind;
  for (let i = 0; i < id.length; i++) key[1 + i] = id.charCodeAt(i);
  return key;
}

/** Kind and a text in UTF-8. */
export function textKey(kind: Kind, text: string): Uint8Array {
  const bytes = Buffer.from(text, "utf8");
  const key = new Uint8Array(1 + bytes.length);
  key[0] = kind;
  key.set(bytes, 1);
  return key;
}
