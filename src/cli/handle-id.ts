import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { askAny } from "./admin-client.js";
import { type CliContext, usageError } from "./context.js";
import { hex } from "./format.js";
import { ambiguous } from "./usage-error.js";

/**
 * The id of a handle by any unique prefix of it. `name`: what the word is called, for the error. `includeClosed`: one that is
 * closed and still known counts, too.
 */
export async function fullHandle(
  context: CliContext,
  prefix: string,
  name: string,
  includeClosed = false,
): Promise<Uint8Array> {
  if (!/^[0-9a-f]{1,32}$/i.test(prefix))
    throw usageError(`${name} ${prefix} is no handle id`, "holdfast handles");
  const reply = await askAny(
    context.endpoints,
    "ListHandles",
    { id: prefix.toLowerCase(), includeClosed },
    context.timeoutMs,
  );
  const ids = (reply.handles ?? []).map((handle) => handle.id ?? new Uint8Array());
  const [first, ...more] = ids;
  if (first === undefined) {
    throw new HoldfastError(ErrorCode.UNKNOWN_HANDLE, `no handle begins with ${prefix}`, {
      next: "holdfast handles",
    });
  }
  if (more.length > 0) throw ambiguous("handles", prefix, ids.map(hex), "holdfast handles");
  return first;
}
