import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { askAny, askInTurn } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { printDocument } from "../output.js";

/** Where a new member will be found. */
export interface NewMember {
  readonly id: number;
  readonly grpc: string;
  readonly http: string;
}

/** `holdfast members add`: a new member that follows without a vote, until it is promoted. */
export async function addMember(context: CliContext, name: string, where: NewMember): Promise<number> {
  // An unsigned 32 bit number on the wire: a larger one would arrive as another member's.
  if (where.id < 1 || where.id > limits.raftIdMax)
    throw new HoldfastError(
      ErrorCode.INVALID_ARGUMENT,
      `--id ${where.id} is no number of a member: they go from 1 to ${limits.raftIdMax}`,
      { next: "holdfast members, and take a number that was never used" },
    );
  const member = {
    raftId: where.id,
    name,
    incarnation: 1,
    grpcAddress: where.grpc,
    httpAddress: where.http,
    learner: true,
  };
  await change(context, "add-learner", member);
  const next = `start it with cluster.join: true in its configuration, then: holdfast members promote ${name}`;
  return said(context, name, "added as a learner", next);
}

/** `holdfast members promote`: gives a member that has caught up a vote. */
export async function promoteMember(context: CliContext, name: string): Promise<number> {
  await change(context, "promote", await byName(context, name));
  return said(context, name, "votes now", "");
}

/** `holdfast members demote`: takes a member's vote away; it goes on following. */
export async function demoteMember(context: CliContext, name: string): Promise<number> {
  await change(context, "demote", await byName(context, name));
  return said(context, name, "has no vote any more", "");
}

/** `holdfast members remove`: refused when those who remain would have no majority alive. */
export async function removeMember(context: CliContext, name: string): Promise<number> {
  await change(context, "remove", await byName(context, name));
  return said(context, name, "removed", "stop it; its data folder is of no use to the cluster any more");
}

async function change(context: CliContext, action: string, member: v1.IMemberRecord): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      await askInTurn(context.endpoints, "ChangeMembers", { action, member }, context.timeoutMs);
      return;
    } catch (thrown) {
      const error = HoldfastError.from(thrown);
      if (round === ROUNDS_MAX || !NOT_DONE.has(error.code)) throw error;
      await new Promise((resume) => setTimeout(resume, ROUND_PAUSE_MS));
    }
  }
}

/** A leader that is to go hands over first, and it may be the last one that is asked. Neither answer has changed anything. */
const NOT_DONE = new Set<ErrorCode>([ErrorCode.NOT_LEADER, ErrorCode.NO_QUORUM]);
const ROUNDS_MAX = 4;
const ROUND_PAUSE_MS = 250;

async function byName(context: CliContext, name: string): Promise<v1.IMemberRecord> {
  const { members } = await askAny(context.endpoints, "ListMembers", {}, context.timeoutMs);
  const found = members?.find((member) => member.name === name);
  if (found) return found;
  const known = (members ?? []).map((member) => member.name).join(", ");
  throw new HoldfastError(
    ErrorCode.UNKNOWN_MEMBER,
    `there is no member ${name}; known are ${known || "none"}`,
    {
      next: "holdfast members",
    },
  );
}

function said(context: CliContext, member: string, outcome: string, next: string): number {
  if (context.output === "json" || context.output === "yaml")
    printDocument(context, { kind: "MemberChange", member, outcome, next });
  else context.out(next === "" ? `${member} ${outcome}` : `${member} ${outcome}. Next: ${next}`);
  return EXIT.ok;
}
