import type { HandleRow } from "../tables/handles.js";

/** A fixed order on every member: indexes may hold rows in another order after a load. */
export function byHandleId(a: HandleRow, b: HandleRow): number {
  return a.id < b.id ? -1 : 1;
}
