/** A binary id as a map key: one character a byte. */
export function idKey(id: Uint8Array | null | undefined): string {
  if (!id || id.length === 0) return "";
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("latin1");
}
