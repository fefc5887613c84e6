import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { EventKind } from "../events.js";
import type { Tx } from "../tx.js";
import { labelProblem } from "../validate.js";

/** Adds a share or changes its settings. Handles keep what they were promised. */
export function defineShare(tx: Tx, command: v1.IDefineShare): v1.ICommandResult {
  const given = command.share ?? {};
  const problem = labelProblem("share name", given.name);
  if (problem !== null) return problem;
  const share: v1.IShareRecord = {
    name: given.name ?? "",
    continuouslyAvailable: given.continuouslyAvailable ?? false,
    scaleOut: given.scaleOut ?? false,
    handleTimeoutMs: Math.min(given.handleTimeoutMs ?? 0, limits.handleTimeoutMsMax),
    leaseMask: (given.leaseMask ?? 0) & 7,
  };
  const cluster = tx.store.cluster;
  cluster.r.shares = [...cluster.r.shares.filter((other) => other.name !== share.name), share];
  tx.store.touch(cluster);
  tx.emit(EventKind.share, "", `share ${share.name} defined`);
  return {};
}
