import { RESERVED_PREFIX } from "../paths.js";

/** The names after `after`, sorted, at most `limit`, without those that Holdfast keeps for itself. */
export function page(
  found: readonly string[],
  after: string,
  limit: number,
): { readonly names: readonly string[]; readonly more: boolean } {
  const wanted = found.filter((name) => name > after && !name.startsWith(RESERVED_PREFIX));
  wanted.sort((a, b) => (a < b ? -1 : 1));
  return { names: wanted.slice(0, limit), more: wanted.length > limit };
}
