import { HoldfastError } from "../../wire/errors.js";
import { askInTurn } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { hex } from "../format.js";
import { fullHandle } from "../handle-id.js";
import { printDocument } from "../output.js";
import { requestedBy } from "./schedule.js";

/**
 * `holdfast handles close`: for a handle that stands in the way and whose client will not let go (semantics.md H 23). What
 * runs on it ends first; afterwards nothing lands through it, its locks are free, and its client gets FILE_CLOSED.
 */
export async function closeHandle(context: CliContext, prefix: string, reason: string): Promise<number> {
  const handleId = await fullHandle(context, prefix, "the handle", true);
  const result = await askInTurn(
    context.endpoints,
    "CloseHandle",
    { handleId, reason, requestedBy: requestedBy() },
    context.timeoutMs,
  );
  if (result.error) throw HoldfastError.fromDetail(result.error);
  const handle = hex(handleId);
  const file = result.handle ? `${result.handle.share ?? ""}:/${result.handle.path ?? ""}` : "";
  if (context.output === "json" || context.output === "yaml")
    printDocument(context, { kind: "HandleClose", handle, file });
  else context.out(file === "" ? `${handle} closed` : `${handle} closed, of ${file}`);
  return EXIT.ok;
}
