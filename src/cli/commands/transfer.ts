import { randomUUID } from "node:crypto";
import type { v1 } from "../../wire/index.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { askAny, askInTurn, REPEAT_AFTER_MS } from "../admin-client.js";
import { usageError, type CliContext } from "../context.js";
import { fullHandle } from "../handle-id.js";
import { EXIT } from "../exit-codes.js";
import { duration } from "../format.js";
import { printDocument, renderTable } from "../output.js";
import { sessionId } from "../session-id.js";
import { findOperation, ITEM_COLUMNS, itemRows, waitForOperation } from "./operations.js";
import { requestedBy } from "./schedule.js";

/** Options of `holdfast transfer` and `holdfast drain`. */
export interface TransferOptions {
  readonly session?: string;
  readonly handle?: string;
  readonly share?: string;
  readonly node?: string;
  readonly to?: string;
  readonly dryRun?: boolean;
  readonly applyPlan?: string;
  readonly expectOwner?: string;
  readonly expectEpoch?: string;
  readonly force?: boolean;
  readonly reason: string;
  readonly async?: boolean;
}

/** `holdfast transfer`: moves sessions to another node without an error for their clients. */
export async function transfer(
  context: CliContext,
  options: TransferOptions,
  drain = false,
): Promise<number> {
  if (options.force === true && options.reason === "") {
    throw usageError(
      "--force goes past an owner that does not answer and wants a reason",
      'add --reason "..."',
    );
  }
  const request: v1.ITransferRequest = {
    sessionId: options.session === undefined ? 0 : sessionId(options.session, "--session"),
    share: options.share ?? "",
    node: options.node ?? "",
    to: options.to ?? "",
    planHash: options.applyPlan ?? "",
    expectOwner: options.expectOwner ?? "",
    expectEpoch: options.expectEpoch === undefined ? 0 : epoch(options.expectEpoch, "--expect-epoch"),
    force: options.force ?? false,
    reason: options.reason,
    requestedBy: requestedBy(),
    drain,
    operationId: randomUUID(),
  };
  if (options.handle !== undefined) request.handleId = await fullHandle(context, options.handle, "--handle");
  if (options.dryRun === true) return showPlan(context, request);
  const begun = await askInTurn(context.endpoints, "Transfer", request, context.timeoutMs, REPEAT_AFTER_MS);
  const operation = begun.id ?? "";
  if (options.async === true) {
    if (context.output === "json" || context.output === "yaml") {
      printDocument(context, { kind: "Operation", operation, state: begun.state });
    } else context.out(operation);
    context.say(`Next: holdfast ops wait ${operation}`);
    return EXIT.ok;
  }
  return waitForOperation(context, operation);
}

function epoch(text: string, flag: string): number {
  if (!/^\d{1,15}$/.test(text)) throw usageError(`${flag} ${text} is no number`, "holdfast sessions");
  return Number(text);
}

/** What would be done, and everything that speaks against it. */
async function showPlan(context: CliContext, request: v1.ITransferRequest): Promise<number> {
  const plan = await askAny(context.endpoints, "PlanTransfer", request, context.timeoutMs);
  const rows = itemRows(plan.items);
  const candidates = (plan.candidates ?? []).map((each) => ({
    node: each.node ?? "",
    accepted: each.accepted ?? false,
    reason: each.reason ?? "",
  }));
  const blockers = plan.blockers ?? [];
  if (context.output === "json" || context.output === "yaml") {
    printDocument(context, {
      kind: "TransferPlan",
      hash: plan.hash,
      expectedFreezeMs: plan.expectedFreezeMs || null,
      ...(request.force ? { expectedWaitMs: plan.expectedWaitMs ?? 0 } : {}),
      notes: plan.notes ?? [],
      noChange: plan.noChange ?? false,
      candidates,
      blockers,
      items: rows,
    });
  } else {
    context.out(renderTable(ITEM_COLUMNS.slice(0, 4), rows, false));
    context.out("");
    context.out(
      renderTable(
        [
          { title: "CANDIDATE", show: (row: (typeof candidates)[number]) => row.node },
          { title: "ACCEPTED", show: (row) => (row.accepted ? "yes" : "no") },
          { title: "REASON", show: (row) => row.reason },
        ],
        candidates,
        false,
      ),
    );
    for (const blocker of blockers) context.out(`blocker: ${blocker}`);
    for (const note of plan.notes ?? []) context.out(`note: ${note}`);
    const freeze = plan.expectedFreezeMs
      ? duration(plan.expectedFreezeMs)
      : "not known, no move was measured yet";
    context.out(`\nexpected freeze a session: ${freeze}`);
    if (request.force) context.out(`expected wait for owners: at most ${duration(plan.expectedWaitMs ?? 0)}`);
    context.out(`plan ${plan.hash}`);
  }
  if (plan.noChange === true) {
    context.say("nothing would change");
    return EXIT.noChange;
  }
  if (blockers.length > 0) return EXIT.precondition;
  context.say(`nothing was done. Next: the same command with --apply-plan ${plan.hash} instead of --dry-run`);
  return EXIT.ok;
}

/** `holdfast ops cancel`. */
export async function cancelOperation(context: CliContext, prefix: string): Promise<number> {
  const id = await findOperation(context, prefix).then(
    (found) => found.id ?? "",
    (error: unknown) => {
      if (!(error instanceof HoldfastError) || error.code !== ErrorCode.UNKNOWN_OPERATION) throw error;
      // Asked all the same: whoever may not cancel anything is told that, not to look for the right id.
      return prefix;
    },
  );
  const request = { id, requestedBy: requestedBy() };
  await askInTurn(context.endpoints, "CancelOperation", request, context.timeoutMs);
  return waitForOperation(context, id).then(() => EXIT.ok);
}
