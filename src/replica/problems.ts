import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { LeaderInfo } from "./api.js";

/** What keeps this member from working as it should, in words for an operator; empty when nothing does. */
export function problemsOf(now: {
  readonly dead: string | null;
  readonly leaderId: number;
  readonly diskLow: boolean;
  readonly pendingMs: number;
  readonly stallMs: number;
}): string[] {
  const problems: string[] = [];
  if (now.dead !== null) problems.push(now.dead);
  if (now.leaderId === 0) problems.push("no leader is known");
  if (now.diskLow) problems.push("the disk is nearly full");
  if (now.pendingMs >= now.stallMs) problems.push(`a disk write hangs for ${Math.round(now.pendingMs)} ms`);
  return problems;
}

/** The answer to whoever waited in vain and whose call certainly had no effect. */
export function waitedFor(info: LeaderInfo, what: string): v1.IErrorDetail {
  if (info.leaderId !== 0) return errorDetail(ErrorCode.DEADLINE_EXCEEDED, what);
  return errorDetail(ErrorCode.NO_QUORUM, `${what}: no leader is known`, {
    next: "holdfast status",
    retryAfterMs: 200,
  });
}
