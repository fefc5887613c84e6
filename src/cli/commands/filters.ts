import type { v1 } from "../../wire/index.js";
import type { CliContext } from "../context.js";
import { sessionId } from "../session-id.js";

/** Filters of the list commands. */
export interface ListFilters {
  readonly node?: string;
  readonly session?: string;
  readonly share?: string;
  readonly path?: string;
  readonly all?: boolean;
}

/** The request behind the filters. */
export function listRequest(context: CliContext, filters: ListFilters): v1.IListRecordsRequest {
  return {
    stale: context.stale,
    filterNode: filters.node ?? "",
    filterSession: filters.session === undefined ? 0 : sessionId(filters.session, "--session"),
    filterShare: filters.share ?? "",
    filterPath: filters.path ?? "",
    includeClosed: filters.all ?? false,
  };
}

/** A boolean for people. */
export const flag = (value: boolean | null | undefined) => (value === true ? "yes" : "no");
/** The name of an enumeration's value as people read it: "NODE_UP" as "up". */
export const enumName = (names: Record<number, string>, value: number | null | undefined, prefix: string) =>
  (names[value ?? 0] ?? String(value)).replace(prefix, "").toLowerCase().replaceAll("_", "-");
