import { v1 } from "../../wire/index.js";
import { askAny } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { num } from "../format.js";
import { printListing, type Column } from "../output.js";
import { enumName, listRequest, type ListFilters } from "./filters.js";
import { collectStatus } from "./status.js";

interface NodeRow {
  node: string;
  status: string;
  address: string;
  httpAddress: string;
  incarnation: number;
  sessions: number;
  handles: number;
  keys: number;
  shares: string[];
  cordoned: boolean;
  draining: boolean;
  weight: number;
  labels: Record<string, string>;
  reason: string;
  changedRevision: number;
  error: string | null;
}

const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  { title: "NODE", show: (row) => row.node },
  { title: "STATUS", show: (row) => row.status },
  { title: "ADDRESS", show: (row) => row.address },
  { title: "SESSIONS", right: true, show: (row) => String(row.sessions) },
  { title: "HANDLES", right: true, show: (row) => String(row.handles) },
  { title: "KEYS", right: true, wide: true, show: (row) => String(row.keys) },
  { title: "SHARES", show: (row) => row.shares.join(",") },
  { title: "INCARNATION", right: true, wide: true, show: (row) => String(row.incarnation) },
  { title: "HTTP", wide: true, show: (row) => row.httpAddress },
  { title: "WEIGHT", right: true, wide: true, show: (row) => String(row.weight) },
  {
    title: "LABELS",
    wide: true,
    show: (row) =>
      Object.entries(row.labels)
        .map(([k, v]) => `${k}=${v}`)
        .join(","),
  },
  { title: "REV", right: true, wide: true, show: (row) => String(row.changedRevision) },
  { title: "REASON", show: (row) => row.reason },
  { title: "ERROR", show: (row) => row.error ?? "" },
];

/** `holdfast nodes`: file nodes with what they own; one that cannot be reached is a row with its error. */
export async function nodes(context: CliContext, filters: ListFilters): Promise<number> {
  const reply = await askAny(
    context.endpoints,
    "ListNodes",
    listRequest(context, filters),
    context.timeoutMs,
  );
  const live = await collectStatus({ ...context, stale: true });
  const errorOf = new Map(live.map((row) => [row.node, row.error]));
  const extras = new Map((reply.extras ?? []).map((extra) => [extra.name, extra]));
  const rows = (reply.nodes ?? []).map((node): NodeRow => {
    const name = node.name ?? "";
    const extra = extras.get(name);
    const base = enumName(v1.NodeStatus, node.status, "NODE_");
    return {
      node: name,
      status: [base, node.cordoned === true ? "cordoned" : "", node.draining === true ? "draining" : ""]
        .filter((each) => each !== "")
        .join(","),
      address: node.grpcAddress ?? "",
      httpAddress: node.httpAddress ?? "",
      incarnation: num(node.incarnation),
      sessions: num(extra?.sessions),
      handles: num(extra?.handles),
      keys: num(extra?.keys),
      shares: node.shares ?? [],
      cordoned: node.cordoned ?? false,
      draining: node.draining ?? false,
      weight: node.weight === 0 ? 100 : (node.weight ?? 100),
      labels: node.labels ?? {},
      reason: node.reason ?? "",
      changedRevision: num(node.changedRevision),
      error: errorOf.get(name) ?? null,
    };
  });
  const unknown = live.filter((row) => row.error !== null && !rows.some((known) => known.node === row.node));
  for (const row of unknown) rows.push(unreachableRow(row.node, row.address, row.error));
  // Who answers lists them as they registered, and after a restart by name.
  rows.sort((a, b) => (a.node === "" ? 1 : b.node === "" ? -1 : a.node.localeCompare(b.node)));
  printListing(context, {
    kind: "NodeList",
    columns: NODE_COLUMNS,
    rows,
    extra: { revision: num(reply.revision) },
    empty: "no file node has registered yet. Next: holdfast status",
  });
  return rows.some((row) => row.error !== null) ? EXIT.degraded : EXIT.ok;
}

function unreachableRow(node: string, address: string, error: string | null): NodeRow {
  return {
    node,
    status: "unknown",
    address,
    httpAddress: "",
    incarnation: 0,
    sessions: 0,
    handles: 0,
    keys: 0,
    shares: [],
    cordoned: false,
    draining: false,
    weight: 0,
    labels: {},
    reason: "",
    changedRevision: 0,
    error,
  };
}
