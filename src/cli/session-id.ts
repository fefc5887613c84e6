import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { usageError } from "./usage-error.js";

/** A session's id as somebody wrote it. `name`: what the word is called, for the error. No session is the 0th: in a request it means none. */
export function sessionId(text: string, name: string): number {
  if (!/^\d{1,15}$/.test(text)) throw usageError(`${name} ${text} is no session id`, "holdfast sessions");
  if (Number(text) > 0) return Number(text);
  throw new HoldfastError(ErrorCode.UNKNOWN_SESSION, "there is no session 0", { next: "holdfast sessions" });
}
