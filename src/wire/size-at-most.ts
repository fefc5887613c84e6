/** Tag and length of one field, or a number with its tag. */
const FIELD_BYTES = 12;
/** UTF-8 bytes of one UTF-16 unit, at most. */
const BYTES_PER_UNIT = 3;

/**
 * An upper bound of a message's encoded size without encoding it; counting ends soon after `enough`. Generous for
 * numbers and text, exact for bytes: what makes a message large is bytes.
 */
export function sizeAtMost(message: object, enough: number): number {
  let bytes = 0;
  for (const key of Object.keys(message)) {
    bytes += FIELD_BYTES + valueSize((message as Record<string, unknown>)[key], enough - bytes);
    if (bytes > enough) break;
  }
  return bytes;
}

function valueSize(value: unknown, enough: number): number {
  if (typeof value === "string") return value.length * BYTES_PER_UNIT;
  if (typeof value !== "object" || value === null) return 0;
  if (value instanceof Uint8Array) return value.length;
  return sizeAtMost(value, enough);
}
