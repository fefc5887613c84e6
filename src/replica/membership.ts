import { type ConfChange, ConfChangeKind, ConfTransition, type RaftStatus } from "../raft/index.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import type { MemberChange } from "./api.js";

/** What travels with a membership change through the log: the member's record, and whether it is leaving. */
function changeContext(change: MemberChange): v1.ISetMember {
  const removed = change.action === "remove";
  const learner = change.action === "add-learner" || change.action === "demote";
  return { member: { ...change.member, learner }, removed };
}

/** True when the member has a vote now, and would have none after the change. */
export function takesVote(change: MemberChange, status: RaftStatus): boolean {
  const goes = change.action === "remove" || change.action === "demote";
  return goes && status.config.voters.includes(change.member.raftId ?? 0);
}

/** The change in the core's form. */
export function toConfChange(change: MemberChange): ConfChange {
  const kind =
    change.action === "promote"
      ? ConfChangeKind.AddVoter
      : change.action === "remove"
        ? ConfChangeKind.RemoveNode
        : ConfChangeKind.AddLearner;
  return {
    transition: ConfTransition.Auto,
    changes: [{ kind, id: change.member.raftId ?? 0 }],
    context: v1.SetMember.encode(changeContext(change)).finish(),
  };
}

/**
 * Why a change must not be made now, or null. Refuses what would leave fewer living voters than a majority, a promotion
 * of a learner that still lacks much, and changes on top of a change under way. `status` is the leader's.
 */
export function changeProblem(
  change: MemberChange,
  status: RaftStatus,
  promoteLagEntries: number,
): v1.IErrorDetail | null {
  const id = change.member.raftId ?? 0;
  const name = change.member.name || `member ${id}`;
  const { config } = status;
  if (change.ifConfIndex !== undefined && change.ifConfIndex !== status.confIndex)
    return precondition(
      `the configuration was changed at index ${status.confIndex}, not ${change.ifConfIndex}`,
      "holdfast members list",
    );
  if (config.votersOutgoing.length > 0)
    return precondition("another membership change is under way", "wait until it is done");
  const voter = config.voters.includes(id);
  const learner = config.learners.includes(id);
  switch (change.action) {
    case "add-learner":
      if (id < 1) return invalid("a member needs an id of at least 1");
      return voter || learner ? already(name, "a member") : null;
    case "promote":
      if (voter) return already(name, "a voter");
      if (!learner) return unknown(name);
      return lagProblem(id, name, status, promoteLagEntries);
    case "demote":
      if (learner) return already(name, "a learner");
      return voter ? quorumProblem(id, name, status) : unknown(name);
    case "remove":
      if (learner) return null;
      return voter ? quorumProblem(id, name, status) : unknown(name);
  }
}

function lagProblem(id: number, name: string, status: RaftStatus, lagMax: number): v1.IErrorDetail | null {
  const progress = status.progress.find((p) => p.id === id);
  const lag = status.lastIndex - (progress?.match ?? 0);
  const follows = progress?.recentActive === true && progress.state === "replicate";
  if (follows && lag <= lagMax) return null;
  const state = follows
    ? `lacks ${lag} entries (at most ${lagMax})`
    : "does not answer or lacks most of the log";
  return precondition(`${name} ${state}; promoted now it could stall the cluster`, "holdfast members list");
}

/** The voters that remain and live must be a majority of those that remain. */
function quorumProblem(id: number, name: string, status: RaftStatus): v1.IErrorDetail | null {
  const remaining = status.config.voters.filter((voter) => voter !== id);
  if (remaining.length === 0) return precondition(`${name} is the last voter`, "promote another one first");
  const alive = remaining.filter(
    (voter) => voter === status.id || status.progress.find((p) => p.id === voter)?.recentActive === true,
  );
  if (alive.length > remaining.length / 2) return null;
  return precondition(
    `without ${name} only ${alive.length} of ${remaining.length} voters would answer: the quorum would be lost`,
    "bring another voter back or add one first",
  );
}

function precondition(message: string, next: string): v1.IErrorDetail {
  return errorDetail(ErrorCode.PRECONDITION_FAILED, message, { next });
}

function already(name: string, what: string): v1.IErrorDetail {
  return errorDetail(ErrorCode.NO_CHANGE, `${name} is ${what} already`, { next: "holdfast members list" });
}

function unknown(name: string): v1.IErrorDetail {
  return errorDetail(ErrorCode.UNKNOWN_MEMBER, `${name} is no member of the group`, {
    next: "holdfast members list",
  });
}

function invalid(message: string): v1.IErrorDetail {
  return errorDetail(ErrorCode.INVALID_ARGUMENT, message);
}
