import type { DropReason, RaftId } from "../raft/index.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { LeaderInfo } from "./api.js";

interface Waiting {
  readonly to: RaftId;
  readonly deadlineMs: number;
  readonly done: (error: v1.IErrorDetail | null) => void;
}

/** Handovers of the leadership that somebody here waits for. Each ends: done, refused with a reason, or at its deadline. */
export class TransferWaits {
  private waiting: Waiting[] = [];

  add(to: RaftId, deadlineMs: number): Promise<v1.IErrorDetail | null> {
    return new Promise((done) => this.waiting.push({ to, deadlineMs, done }));
  }

  /** The core says how a transfer ended. Success shows as a new leader. */
  ended(target: RaftId, reason: DropReason | null): void {
    if (reason !== null) this.settle((w) => w.to === target, transferError(target, reason));
  }

  leaderChanged(info: LeaderInfo): void {
    if (info.leaderId === 0) return;
    this.settle((w) => w.to === info.leaderId, null);
  }

  tick(nowMs: number, info: LeaderInfo): void {
    if (this.waiting.length === 0) return;
    this.leaderChanged(info);
    this.settle(
      (w) => w.deadlineMs <= nowMs,
      errorDetail(ErrorCode.DEADLINE_EXCEEDED, "the leadership did not move in time", {
        next: "holdfast status",
      }),
    );
  }

  close(): void {
    this.settle(() => true, errorDetail(ErrorCode.STOPPING, "this member is stopping"));
  }

  private settle(which: (waiting: Waiting) => boolean, error: v1.IErrorDetail | null): void {
    const settled = this.waiting.filter(which);
    if (settled.length === 0) return;
    this.waiting = this.waiting.filter((waiting) => !settled.includes(waiting));
    for (const waiting of settled) waiting.done(error);
  }
}

/** A refusal of the core in words. */
export function transferError(target: RaftId, reason: DropReason): v1.IErrorDetail {
  switch (reason) {
    case "target-is-leader":
      return errorDetail(ErrorCode.NO_CHANGE, `member ${target} leads already`);
    case "target-not-voter":
      return errorDetail(ErrorCode.PRECONDITION_FAILED, `member ${target} has no vote`, {
        next: "holdfast members list",
      });
    case "no-leader":
    case "not-leader":
      return errorDetail(ErrorCode.NO_QUORUM, "no leader is known", { retryAfterMs: 100 });
    default:
      return errorDetail(ErrorCode.PRECONDITION_FAILED, `member ${target} did not take over: ${reason}`, {
        next: "holdfast status",
      });
  }
}
