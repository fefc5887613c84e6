import { userInfo } from "node:os";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { askAny, askInTurn } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { duration } from "../format.js";
import { printDocument } from "../output.js";

/** Who asks, for the record. */
export function requestedBy(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}

/** `holdfast cordon` and `uncordon`: whether a node gets new sessions. Already so is an exit code of its own. */
export async function cordon(
  context: CliContext,
  node: string,
  cordoned: boolean,
  reason: string,
): Promise<number> {
  const verb = cordoned ? "cordoned" : "uncordoned";
  const before = await askAny(context.endpoints, "ListNodes", {}, context.timeoutMs);
  const record = (before.nodes ?? []).find((each) => each.name === node);
  if (record === undefined) {
    const names = (before.nodes ?? []).map((each) => each.name).join(", ");
    throw new HoldfastError(
      ErrorCode.UNKNOWN_NODE,
      `there is no node ${node}; known are ${names || "none"}`,
      {
        next: "holdfast nodes",
      },
    );
  }
  if ((record.cordoned ?? false) === cordoned && (record.draining ?? false) === false) {
    throw new HoldfastError(ErrorCode.NO_CHANGE, `${node} is already ${verb}`, { next: "holdfast nodes" });
  }
  const result = await askInTurn(
    context.endpoints,
    "ScheduleNode",
    { node, cordoned, draining: false, reason, requestedBy: requestedBy() },
    context.timeoutMs,
  );
  if (result.error) throw HoldfastError.fromDetail(result.error);
  if (context.output === "json" || context.output === "yaml") {
    printDocument(context, { kind: "Node", node, cordoned, revision: Number(result.revision ?? 0) });
  } else context.out(`${node} ${verb}`);
  return EXIT.ok;
}

/** `holdfast leader move`: prints who led before and who leads after. */
export async function moveLeader(context: CliContext, to: string, reason: string): Promise<number> {
  const reply = await askInTurn(context.endpoints, "MoveLeader", { to, reason }, context.timeoutMs);
  if (context.output === "json" || context.output === "yaml") {
    printDocument(context, { kind: "LeaderMove", from: reply.from, to: reply.to, tookMs: reply.tookMs });
  } else context.out(`leader ${reply.from} -> ${reply.to} in ${duration(reply.tookMs ?? 0)}`);
  return EXIT.ok;
}
