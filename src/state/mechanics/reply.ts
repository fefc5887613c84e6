import type { v1 } from "../../wire/index.js";
import type { SessionRow } from "../tables/sessions.js";

/** A session as an answer. */
export function sessionResult(session: SessionRow): v1.ICommandResult {
  return { session: { ...session.r } };
}
