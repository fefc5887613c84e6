import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { FORMAT_VERSION } from "../store.js";
import { fail, type Tx } from "../tx.js";
import { labelProblem } from "../validate.js";
import { defineShare } from "./define-share.js";
import { setMember } from "./set-member.js";

/** The first command of a cluster: its id, members and shares. Once. */
export function initCluster(tx: Tx, command: v1.IInitCluster): v1.ICommandResult {
  const { cluster } = tx.store;
  if (cluster.r.clusterId !== "")
    return fail(ErrorCode.NO_CHANGE, `the cluster was initialised already, as ${cluster.r.clusterId}`);
  const problem = labelProblem("cluster id", command.clusterId);
  if (problem !== null) return problem;
  if ((command.formatVersion ?? 0) > FORMAT_VERSION)
    return fail(
      ErrorCode.UNSUPPORTED_VERSION,
      `format version ${command.formatVersion} is newer than this program's, ${FORMAT_VERSION}`,
    );
  cluster.r.clusterId = command.clusterId ?? "";
  tx.store.touch(cluster);
  for (const member of command.members ?? []) {
    const result = setMember(tx, { member });
    if (result.error) return result;
  }
  for (const share of command.shares ?? []) {
    const result = defineShare(tx, { share });
    if (result.error) return result;
  }
  tx.emit(EventKind.cluster, "", `cluster ${cluster.r.clusterId} initialised`);
  return {};
}
