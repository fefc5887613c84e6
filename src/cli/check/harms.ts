import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { askAny, askInTurn, REPEAT_AFTER_MS } from "../admin-client.js";
import { collectStatus } from "../commands/status.js";
import { requestedBy } from "../commands/schedule.js";
import type { CliContext } from "../context.js";
import type { Probe } from "./probe.js";
import { pollUntil } from "./wait.js";

const REASON = "holdfast check failover";

/** Longest wait for the cluster to say that the harm is over. */
const OVER_WITHIN_MS = 30_000;

/** One thing that the check does to the cluster; it resolves when the cluster has got over it. */
export interface Harm {
  readonly name: string;
  /** It ends a process: wants every node well before it. */
  readonly kills: boolean;
  run(probe: Probe): Promise<void>;
}

/** A planned handover of the leadership. */
export const moveLeadership = (context: CliContext): Harm => ({
  name: "leader move",
  kills: false,
  async run() {
    await askInTurn(context.endpoints, "MoveLeader", { to: "", reason: REASON }, context.timeoutMs);
  },
});

/** A planned transfer of the probe's own session to another node. */
export const moveProbe = (context: CliContext): Harm => ({
  name: "transfer",
  kills: false,
  async run(probe) {
    const { nodes } = await askAny(context.endpoints, "ListNodes", {}, context.timeoutMs);
    const target = (nodes ?? []).find(
      (node) =>
        node.status === v1.NodeStatus.NODE_UP &&
        node.cordoned !== true &&
        node.foreign !== true &&
        node.name !== probe.session.owner,
    );
    if (target === undefined)
      throw new HoldfastError(ErrorCode.PRECONDITION_FAILED, "there is no other node to take the session", {
        next: "holdfast nodes",
      });
    const id = randomUUID();
    const request = { sessionId: Number(probe.session.id), to: target.name ?? "", operationId: id };
    const named = { ...request, reason: REASON, requestedBy: requestedBy() };
    await askInTurn(context.endpoints, "Transfer", named, context.timeoutMs, REPEAT_AFTER_MS);
    const next = `holdfast ops show ${id}`;
    const operation = await pollUntil("the transfer ends", OVER_WITHIN_MS, next, async () => {
      const reply = await askAny(context.endpoints, "ListOperations", { id }, context.timeoutMs);
      return reply.operations?.find((each) => each.state !== "running");
    });
    if (operation.state !== "done")
      throw new HoldfastError(ErrorCode.UNSUCCESSFUL, `the transfer ${operation.state}: ${operation.error}`, {
        next,
      });
  },
});

/** kill -9 of the node that leads. Over when another one does. */
export const killLeader = (context: CliContext, data: string): Harm => ({
  name: "kill leader",
  kills: true,
  async run() {
    const leader = await leaderName(context);
    kill(data, leader);
    await pollUntil("another node leads", OVER_WITHIN_MS, "holdfast status", async () => {
      const name = await leaderName(context);
      return name === leader ? undefined : name;
    });
  },
});

/** kill -9 of the node that owns the probe's session. Over when the client has it at another owner or epoch. */
export const killOwner = (data: string): Harm => ({
  name: "kill owner",
  kills: true,
  async run(probe) {
    const { owner, epoch } = probe.session;
    kill(data, owner);
    await pollUntil("the session has moved", OVER_WITHIN_MS, "holdfast nodes", () =>
      probe.session.epoch > epoch ? true : undefined,
    );
  },
});

async function leaderName(context: CliContext): Promise<string> {
  const rows = await collectStatus({ ...context, timeoutMs: Math.min(context.timeoutMs, 500) });
  const leader = rows.find((row) => row.role === "leader");
  if (leader !== undefined) return leader.node;
  throw new HoldfastError(ErrorCode.NO_QUORUM, "no node leads", { next: "holdfast status" });
}

/** Ends the process that the node's pid file names, once the system says that it is that node. */
function kill(data: string, node: string): void {
  process.kill(nodePid(data, node), "SIGKILL");
}

/** The pid of a node of this host. Refuses one that runs something else: the file may be older than its process. */
export function nodePid(data: string, node: string): number {
  const file = join(data, node, "pid");
  const next =
    "name the folder of `holdfast up` with --data; nodes of other hosts cannot be killed from here";
  let pid: number;
  let line: string;
  try {
    pid = Number(readFileSync(file, "utf8").trim());
    line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch (error) {
    throw new HoldfastError(
      ErrorCode.PRECONDITION_FAILED,
      `${file} does not lead to the process of ${node}: ${(error as Error).message}`,
      { next, cause: error },
    );
  }
  const folder = join(resolve(data), node);
  if (!Number.isInteger(pid) || pid <= 1 || !line.includes(" node ") || !line.includes(folder))
    throw new HoldfastError(
      ErrorCode.PRECONDITION_FAILED,
      `process ${pid} of ${file} is no node with its folder at ${folder}`,
      { next },
    );
  return pid;
}
