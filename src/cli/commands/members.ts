import type { v1 } from "../../wire/index.js";
import { askAny, askEach } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { num } from "../format.js";
import { printListing, type Column } from "../output.js";
import { flag } from "./filters.js";

interface MemberRow {
  member: string;
  raftId: number;
  address: string;
  voter: boolean;
  state: string;
  match: number | null;
  active: boolean | null;
  incarnation: number;
}

const MEMBER_COLUMNS: readonly Column<MemberRow>[] = [
  { title: "MEMBER", show: (row) => row.member },
  { title: "RAFT ID", right: true, show: (row) => String(row.raftId) },
  { title: "ADDRESS", show: (row) => row.address },
  { title: "VOTER", show: (row) => flag(row.voter) },
  { title: "STATE", show: (row) => row.state },
  { title: "MATCH", right: true, show: (row) => (row.match === null ? "-" : String(row.match)) },
  { title: "ACTIVE", show: (row) => (row.active === null ? "-" : flag(row.active)) },
  { title: "INCARNATION", right: true, wide: true, show: (row) => String(row.incarnation) },
];

/** Longest wait for the leader's own view beside the answer that is there already. */
const PROGRESS_WAIT_MS = 1_000;

/** Progress is known to the leader alone: when another has answered, it is asked for the rest. Without it there are dashes. */
async function progressOf(context: CliContext, reply: v1.IListMembersReply): Promise<v1.IMemberProgress[]> {
  const leads = ({ progress }: v1.IListMembersReply) => (progress ?? []).some((each) => each.state !== "");
  if (leads(reply) || context.stale) return reply.progress ?? [];
  const addresses = (reply.members ?? []).flatMap(({ grpcAddress }) => (grpcAddress ? [grpcAddress] : []));
  const waitMs = Math.min(context.timeoutMs, PROGRESS_WAIT_MS);
  const answers = await askEach(addresses, "ListMembers", { stale: true }, waitMs);
  const told = answers.flatMap((each) => ("value" in each ? [each.value] : []));
  return (told.find(leads) ?? reply).progress ?? [];
}

/** `holdfast members`: the consensus group. */
export async function members(context: CliContext): Promise<number> {
  const reply = await askAny(context.endpoints, "ListMembers", { stale: context.stale }, context.timeoutMs);
  const progress = new Map((await progressOf(context, reply)).map((each) => [each.raftId, each]));
  const rows = (reply.members ?? []).map((member): MemberRow => {
    const of = progress.get(member.raftId ?? 0);
    const known = of !== undefined && of.state !== "";
    return {
      member: member.name ?? "",
      raftId: member.raftId ?? 0,
      address: member.grpcAddress ?? "",
      voter: of?.voter ?? member.learner !== true,
      state: known ? (of.state ?? "") : "",
      match: known ? num(of.match) : null,
      active: known ? (of.active ?? false) : null,
      incarnation: num(member.incarnation),
    };
  });
  printListing(context, {
    kind: "MemberList",
    columns: MEMBER_COLUMNS,
    rows,
    extra: { revision: num(reply.revision), confIndex: num(reply.confIndex) },
  });
  return EXIT.ok;
}
