import type { v1 } from "../../wire/index.js";
import { askAny, askEach, type Answer } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { duration, fineDuration, num, size } from "../format.js";
import { knownNodes } from "../known-nodes.js";
import { printListing, type Column } from "../output.js";

/** One node as `status` shows it; keys are those of the JSON. */
export interface StatusRow {
  node: string;
  address: string;
  role: string;
  health: string;
  leader: string;
  term: number | null;
  commit: number | null;
  applied: number | null;
  lagEntries: number | null;
  fsyncP99Ms: number | null;
  loopP99Ms: number | null;
  snapshotIndex: number | null;
  sessionsOwned: number | null;
  leaseLeftMs: number | null;
  uptimeMs: number | null;
  rssBytes: number | null;
  incarnation: number | null;
  raftId: number | null;
  roles: string[];
  version: string;
  formatVersion: number | null;
  httpAddress: string;
  clusterId: string;
  lastElectionCause: string;
  errors: string[];
  /** Why the node could not be asked; null when it answered. */
  error: string | null;
}

const number = (value: number | null) => (value === null ? "-" : String(value));

const COLUMNS: readonly Column<StatusRow>[] = [
  { title: "NODE", show: (row) => row.node },
  { title: "ADDRESS", show: (row) => row.address },
  { title: "ROLE", show: (row) => row.role },
  { title: "HEALTH", show: (row) => row.health },
  { title: "TERM", right: true, show: (row) => number(row.term) },
  { title: "COMMIT", right: true, show: (row) => number(row.commit) },
  { title: "APPLIED", right: true, show: (row) => number(row.applied) },
  { title: "LAG", right: true, show: (row) => number(row.lagEntries) },
  { title: "SESSIONS", right: true, show: (row) => number(row.sessionsOwned) },
  { title: "FSYNC p99", right: true, wide: true, show: (row) => milliseconds(row.fsyncP99Ms) },
  { title: "LOOP p99", right: true, wide: true, show: (row) => milliseconds(row.loopP99Ms) },
  { title: "SNAPSHOT", right: true, wide: true, show: (row) => number(row.snapshotIndex) },
  { title: "LEASE", right: true, wide: true, show: (row) => milliseconds(row.leaseLeftMs) },
  {
    title: "UPTIME",
    right: true,
    wide: true,
    show: (row) => (row.uptimeMs === null ? "-" : duration(row.uptimeMs)),
  },
  {
    title: "MEMORY",
    right: true,
    wide: true,
    show: (row) => (row.rssBytes === null ? "-" : size(row.rssBytes)),
  },
  { title: "INCARNATION", right: true, wide: true, show: (row) => number(row.incarnation) },
  { title: "HTTP", wide: true, show: (row) => row.httpAddress },
  { title: "VERSION", wide: true, show: (row) => row.version },
  { title: "LEVEL", right: true, wide: true, show: (row) => number(row.formatVersion) },
  { title: "LAST ELECTION", wide: true, show: (row) => row.lastElectionCause },
  { title: "ERRORS", show: (row) => [row.error, ...row.errors].filter((each) => each !== null).join("; ") },
];

function milliseconds(value: number | null): string {
  return value === null ? "-" : fineDuration(Math.max(0, value));
}

/** `holdfast status`: every node, reachable or not; the exit code is the verdict on the cluster. */
export async function status(context: CliContext): Promise<number> {
  const rows = await collectStatus(context);
  const quorum = await hasQuorum(context, rows);
  printListing(context, {
    kind: "Status",
    columns: COLUMNS,
    rows,
    extra: { cluster: rows.find((row) => row.clusterId !== "")?.clusterId ?? null, quorum },
  });
  if (!quorum) {
    if (rows.every((row) => row.error !== null)) {
      context.say(
        "no node answers. Next: start the cluster (holdfast up), or name its nodes with --endpoints host:port,host:port",
      );
      return EXIT.unavailable;
    }
    context.say(
      "no quorum: nothing can be changed. Next: start the nodes that are down (holdfast node --config FILE)",
    );
    return EXIT.unavailable;
  }
  if (rows.every((row) => row.error === null && row.health === "ok")) return EXIT.ok;
  context.say("degraded: the cluster works, but not every node is well. Next: holdfast status -o wide");
  return EXIT.degraded;
}

/** A row for each endpoint and for each further node that the cluster knows. */
export async function collectStatus(context: CliContext): Promise<StatusRow[]> {
  const asked = await askEach(context.endpoints, "GetStatus", {}, probeTimeoutMs(context));
  const reachable = asked.filter((answer) => "value" in answer).map((answer) => answer.address);
  const known = await knownNodes(reachable, probeTimeoutMs(context));
  const seen = new Set(asked.flatMap((answer) => ("value" in answer ? [answer.value.name] : [])));
  const listed = new Set(context.endpoints);
  const further = known.filter((node) => !seen.has(node.name) && !listed.has(node.grpcAddress ?? ""));
  const more = await askEach(
    further.map((node) => node.grpcAddress ?? ""),
    "GetStatus",
    {},
    probeTimeoutMs(context),
  );
  const nameOf = new Map(known.map((node) => [node.grpcAddress, node.name]));
  return [...asked, ...more]
    .map((answer) => toRow(answer, nameOf.get(answer.address) ?? ""))
    .sort((a, b) => (a.node === "" ? 1 : b.node === "" ? -1 : a.node.localeCompare(b.node)));
}

function probeTimeoutMs(context: CliContext): number {
  return Math.min(context.timeoutMs, 3_000);
}

async function hasQuorum(context: CliContext, rows: readonly StatusRow[]): Promise<boolean> {
  const reachable = rows.filter((row) => row.error === null).map((row) => row.address);
  if (reachable.length === 0) return false;
  try {
    // A linearizable read: what a health command that only asks processes would miss.
    await askAny(reachable, "ListMembers", { stale: false }, probeTimeoutMs(context));
    return true;
  } catch {
    return false;
  }
}

function toRow(answer: Answer<v1.INodeState>, knownName: string): StatusRow {
  if ("error" in answer) {
    return {
      node: knownName,
      address: answer.address,
      role: "-",
      health: "unreachable",
      leader: "",
      term: null,
      commit: null,
      applied: null,
      lagEntries: null,
      fsyncP99Ms: null,
      loopP99Ms: null,
      snapshotIndex: null,
      sessionsOwned: null,
      leaseLeftMs: null,
      uptimeMs: null,
      rssBytes: null,
      incarnation: null,
      raftId: null,
      roles: [],
      version: "",
      formatVersion: null,
      httpAddress: "",
      clusterId: "",
      lastElectionCause: "",
      errors: [],
      error: answer.error.message,
    };
  }
  const state = answer.value;
  return {
    node: state.name ?? "",
    address: answer.address,
    role: state.role ?? "",
    health: state.health ?? "",
    leader: state.leader ?? "",
    term: num(state.term),
    commit: num(state.commit),
    applied: num(state.applied),
    lagEntries: num(state.lagEntries),
    fsyncP99Ms: state.fsyncP99Ms ?? 0,
    loopP99Ms: state.loopP99Ms ?? 0,
    snapshotIndex: num(state.snapshotIndex),
    sessionsOwned: num(state.sessionsOwned),
    leaseLeftMs: num(state.leaseLeftMs),
    uptimeMs: num(state.uptimeMs),
    rssBytes: num(state.rssBytes),
    incarnation: num(state.incarnation),
    raftId: state.raftId ?? 0,
    roles: state.roles ?? [],
    version: state.version ?? "",
    formatVersion: state.formatVersion ?? 0,
    httpAddress: state.httpAddress ?? "",
    clusterId: state.clusterId ?? "",
    lastElectionCause: state.lastElectionCause ?? "",
    errors: state.errors ?? [],
    error: null,
  };
}
