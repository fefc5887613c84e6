import type { MemberChange, Replica } from "../../replica/api.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { memberOf } from "./member-request.js";

/** The consensus group as this node sees it; progress is known to the leader alone. */
export function listMembers(replica: Replica): v1.IListMembersReply {
  const { raft } = replica.status();
  const voters = new Set([...raft.config.voters, ...raft.config.votersOutgoing]);
  const records = new Map([...replica.state.members()].map((member) => [member.raftId ?? 0, member]));
  const ids = new Set([...voters, ...raft.config.learners, ...raft.config.learnersNext]);
  const progress = new Map(raft.progress.map((each) => [each.id, each]));
  return {
    members: [...ids].sort((a, b) => a - b).map((raftId) => records.get(raftId) ?? { raftId }),
    progress: [...ids].map((raftId) => {
      const known = progress.get(raftId);
      return {
        raftId,
        voter: voters.has(raftId),
        state: known === undefined ? "" : raftId === raft.id ? "leader" : known.state,
        match: known?.match ?? 0,
        active: known !== undefined && (raftId === raft.id || known.recentActive),
      };
    }),
  };
}

/** Time as the calls here use it. */
export interface AdminTime {
  nowMs(): number;
  sleep(ms: number): Promise<void>;
}

/** Hands leadership over and waits until this node sees the new leader. */
export async function moveLeader(
  replica: Replica,
  request: v1.IMoveLeaderRequest,
  world: AdminTime,
  timeoutMs: number,
): Promise<v1.IMoveLeaderReply> {
  const began = world.nowMs();
  const nameOf = (id: number) => memberName(replica, id);
  const before = replica.leader();
  if (before.leaderId === 0) {
    throw new HoldfastError(ErrorCode.NO_QUORUM, "there is no leader to move", { next: "holdfast status" });
  }
  const target = request.to ? memberByName(replica, request.to) : bestFollower(replica);
  if (target === before.leaderId) {
    throw new HoldfastError(ErrorCode.NO_CHANGE, `${nameOf(target)} leads already`, {
      next: "holdfast status",
    });
  }
  // A leader refuses it too; but one that was passed on to the leader ends without a word.
  const votes = () => replica.status().raft.config.voters.includes(target);
  // Its promotion may not have come as far as this node.
  if (!votes()) await replica.readBarrier(began + timeoutMs);
  if (!votes()) {
    throw new HoldfastError(ErrorCode.PRECONDITION_FAILED, `${nameOf(target)} has no vote and cannot lead`, {
      next: `holdfast members promote ${nameOf(target)}`,
    });
  }
  const refused = await replica.transferLeadership(target);
  if (refused !== null) throw notMoved(refused, nameOf(before.leaderId), nameOf(target));
  while (world.nowMs() - began < timeoutMs) {
    const now = replica.leader();
    if (now.leaderId !== 0 && now.leaderId !== before.leaderId) {
      return {
        from: nameOf(before.leaderId),
        to: nameOf(now.leaderId),
        tookMs: Math.round(world.nowMs() - began),
      };
    }
    await world.sleep(5);
  }
  throw new HoldfastError(
    ErrorCode.OUTCOME_UNKNOWN,
    `${nameOf(before.leaderId)} still leads after ${timeoutMs} ms; the transfer was begun`,
    { next: "holdfast status" },
  );
}

/** Why it was not done. Silence in the end is no refusal: the order may be on its way. */
function notMoved(refused: v1.IErrorDetail, from: string, to: string): HoldfastError {
  const error = HoldfastError.fromDetail(refused);
  if (error.code !== ErrorCode.DEADLINE_EXCEEDED) return error;
  return new HoldfastError(
    ErrorCode.OUTCOME_UNKNOWN,
    `${to} has not taken over from ${from} in time, and may do so yet`,
    { next: "holdfast status" },
  );
}

function memberName(replica: Replica, raftId: number): string {
  for (const member of replica.state.members())
    if (member.raftId === raftId) return member.name ?? String(raftId);
  return String(raftId);
}

function memberByName(replica: Replica, name: string): number {
  const all = [...replica.state.members()];
  const exact = all.find((member) => member.name === name || String(member.raftId) === name);
  if (exact !== undefined) return exact.raftId ?? 0;
  throw new HoldfastError(
    ErrorCode.UNKNOWN_MEMBER,
    `there is no member ${name}; members are ${all.map((member) => member.name).join(", ") || "none"}`,
    { next: "holdfast members" },
  );
}

/** The voter that has most of the log; ties go to the lowest id. */
function bestFollower(replica: Replica): number {
  const { raft } = replica.status();
  const leader = replica.leader().leaderId;
  const others = raft.config.voters.filter((id) => id !== leader);
  const match = new Map(raft.progress.map((each) => [each.id, each.recentActive ? each.match : -1]));
  const [best] = others.sort((a, b) => (match.get(b) ?? 0) - (match.get(a) ?? 0) || a - b);
  if (best === undefined) {
    throw new HoldfastError(ErrorCode.PRECONDITION_FAILED, "there is no other voter to lead", {
      next: "holdfast members",
    });
  }
  return best;
}

const ACTIONS: readonly string[] = [
  "add-learner",
  "promote",
  "remove",
  "demote",
] satisfies MemberChange["action"][];

/** One change of the consensus group. */
export async function changeMembers(
  replica: Replica,
  request: v1.IChangeMembersRequest,
): Promise<v1.IListMembersReply> {
  const action = request.action ?? "";
  if (!ACTIONS.includes(action)) {
    throw new HoldfastError(
      ErrorCode.INVALID_ARGUMENT,
      `there is no member action ${JSON.stringify(action)}`,
      {
        next: `use one of ${ACTIONS.join(", ")}`,
      },
    );
  }
  const wanted = action as MemberChange["action"];
  const refused = await replica.changeMembers({
    action: wanted,
    member: memberOf(wanted, request.member ?? {}, [...replica.state.members()]),
    ...(request.ifConfIndex ? { ifConfIndex: Number(request.ifConfIndex) } : {}),
  });
  if (refused !== null) throw HoldfastError.fromDetail(refused);
  return listMembers(replica);
}

/** How long a change that is refused is asked for again, and how often. */
const LOOK_AGAIN_MS = 500;
const LOOK_EVERY_MS = 25;

/**
 * The same for an operator. The leader counts anew who answers after each election timeout, and from its election on;
 * asked right then, it takes living members for dead, and refuses what the next heartbeats allow.
 */
export async function changeMembersPatiently(
  replica: Replica,
  request: v1.IChangeMembersRequest,
  world: AdminTime,
): Promise<v1.IListMembersReply> {
  const until = world.nowMs() + LOOK_AGAIN_MS;
  for (;;) {
    try {
      return await changeMembers(replica, request);
    } catch (thrown) {
      const error = HoldfastError.from(thrown);
      if (error.code !== ErrorCode.PRECONDITION_FAILED || world.nowMs() >= until) throw error;
    }
    await world.sleep(LOOK_EVERY_MS);
  }
}
