import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { askAny } from "./admin-client.js";
import { type CliContext, usageError } from "./context.js";

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
  const [first, ...more] = reply.handles ?? [];
  if (first?.id === null || first?.id === undefined || more.length > 0) {
    const count = first === undefined ? 0 : more.length + 1;
    throw new HoldfastError(ErrorCode.UNKNOWN_HANDLE, `${count} handles begin with ${prefix}`, {
      next: "holdfast handles",
    });
  }
  return first.id;
}
