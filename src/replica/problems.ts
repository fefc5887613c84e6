import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { LeaderInfo } from "./api.js";

/** Problems that are told in other ways too. */
export const NO_LEADER = "no leader is known";
/** The guard on the disk lets only those commands pass that free space. */
export const DISK_LOW = "the disk is nearly full";

/** What keeps this member from working as it should, in words for an operator; empty when nothing does. */
export function problemsOf(
  dead: string | null,
  info: LeaderInfo,
  diskLow: boolean,
  pendingWriteMs: number,
  diskStallMs: number,
): string[] {
  const problems: string[] = [];
  if (dead !== null) problems.push(dead);
  if (info.leaderId === 0) problems.push(NO_LEADER);
  if (diskLow) problems.push(DISK_LOW);
  if (pendingWriteMs >= diskStallMs) problems.push(`a disk write hangs for ${Math.round(pendingWriteMs)} ms`);
  return problems;
}

/** The answer when more commands wait at a node than it can hold. */
export function overloaded(node: string, waiting: number): v1.IErrorDetail {
  return errorDetail(ErrorCode.OVERLOADED, `${waiting} commands wait at ${node}`, { node, retryAfterMs: 50 });
}

/** The answer to whoever waited in vain and whose call certainly had no effect. */
export function waitedFor(info: LeaderInfo, what: string): v1.IErrorDetail {
  if (info.leaderId !== 0) return errorDetail(ErrorCode.DEADLINE_EXCEEDED, what);
  return errorDetail(ErrorCode.NO_QUORUM, `${what}: no leader is known`, {
    next: "holdfast status",
    retryAfterMs: 200,
  });
}
