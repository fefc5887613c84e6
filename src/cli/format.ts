/** Bytes as hex, dashes left out: how ids are written and read. */
export function hex(bytes: Uint8Array | null | undefined): string {
  return bytes === null || bytes === undefined ? "" : Buffer.from(bytes).toString("hex");
}

/** Milliseconds for people: "35 ms", "1.2 s", "3 min 20 s", "2 h 5 min". */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
}

/** A duration that is known to a tenth of a millisecond. */
export function fineDuration(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : duration(ms);
}

/** Bytes for people, in powers of 1024. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** Unix milliseconds as RFC 3339 in UTC; zero is "no time" and gives null. */
export function time(ms: number | bigint | null | undefined): string | null {
  const number = Number(ms ?? 0);
  return number === 0 || !Number.isFinite(number) ? null : new Date(number).toISOString();
}

/** A 64-bit field as a number; above 2^53 only ids of locks go, which are shown as text instead. */
export function num(value: number | bigint | null | undefined): number {
  return Number(value ?? 0);
}

/** File names and client names come from others: no control character of theirs reaches the terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "?");
}
