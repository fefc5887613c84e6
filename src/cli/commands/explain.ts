import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { askAny, askEach } from "../admin-client.js";
import { usageError, type CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { CODES } from "../explain/codes.js";
import { duration, num } from "../format.js";
import { printDocument, renderTable, type Column } from "../output.js";

/** What the cluster explains; anything else is an error code. */
const KINDS: readonly string[] = ["session", "handle", "node", "leader"];

/** `holdfast explain session|handle|node ID`, `explain leader`, `explain CODE`. */
export async function explain(context: CliContext, what: string, id: string | undefined): Promise<number> {
  if (!KINDS.includes(what)) {
    if (id !== undefined) throw usageError(`explain ${what} ${id}: there is no such kind`, USAGE);
    return explainCode(context, what);
  }
  if (what !== "leader" && id === undefined)
    throw usageError(`explain ${what} wants to know which`, `holdfast ${what}s`);
  if (what === "leader" && id !== undefined)
    throw usageError(`there is one leader, and "${id}" names none`, "holdfast explain leader");
  // Only the leader knows why it stood for election.
  const endpoints = what === "leader" ? await leaderFirst(context) : context.endpoints;
  const request = { kind: what, id: id ?? "", stale: context.stale };
  const reply = await askAny(endpoints, "Explain", request, context.timeoutMs);
  print(context, what, id ?? "", reply);
  return EXIT.ok;
}

const USAGE = "holdfast explain session|handle|node ID, holdfast explain leader, holdfast explain CODE";

interface StepRow {
  readonly revision: number | null;
  /** Cluster time counts from the cluster's beginning: only how long ago is of use. */
  readonly agoMs: number | null;
  readonly text: string;
}

const COLUMNS: readonly Column<StepRow>[] = [
  { title: "REVISION", right: true, show: (row) => (row.revision === null ? "-" : String(row.revision)) },
  { title: "WHEN", right: true, show: (row) => (row.agoMs === null ? "-" : `${duration(row.agoMs)} ago`) },
  { title: "WHAT", show: (row) => row.text },
];

function print(context: CliContext, what: string, id: string, reply: v1.IExplainReply): void {
  const steps = (reply.steps ?? []).map(
    (step): StepRow => ({
      revision: num(step.revision) === 0 ? null : num(step.revision),
      agoMs:
        num(step.clusterTimeMs) === 0
          ? null
          : Math.max(0, num(reply.clusterTimeMs) - num(step.clusterTimeMs)),
      text: step.text ?? "",
    }),
  );
  const summary = clean(reply.summary ?? "");
  const next = clean(reply.next ?? "");
  if (context.output === "json" || context.output === "yaml") {
    printDocument(context, { kind: "Explanation", of: what, id, summary, next, items: steps });
    return;
  }
  if (steps.length > 0) context.out(`${renderTable(COLUMNS, steps, false)}\n`);
  context.out(`${summary}\nNext: ${next}`);
}

/** Names of files and clients come from others: no control character of theirs reaches the terminal. */
const clean = (text: string): string => text.replaceAll(/\p{Cc}/gu, "?");

async function leaderFirst(context: CliContext): Promise<readonly string[]> {
  const answers = await askEach(context.endpoints, "GetStatus", {}, Math.min(context.timeoutMs, 2_000));
  const leads = answers.filter((each) => "value" in each && each.value.role === "leader");
  const answered = answers.filter((each) => "value" in each && !leads.includes(each));
  const rest = answers.filter((each) => "error" in each);
  return [...leads, ...answered, ...rest].map((each) => each.address);
}

/** `holdfast explain CODE`: a name, a unique beginning of one, or the number. Asks nobody. */
function explainCode(context: CliContext, text: string): number {
  const name = codeName(text);
  const { means, caller, next } = CODES[name];
  if (context.output === "json" || context.output === "yaml") {
    printDocument(context, { kind: "ErrorCode", code: name, number: ErrorCode[name], means, caller, next });
  } else context.out(`${name} (${ErrorCode[name]}): ${means}\nCaller: ${caller}\nNext: ${next}`);
  return EXIT.ok;
}

function codeName(text: string): keyof typeof CODES {
  const names = Object.keys(CODES) as (keyof typeof CODES)[];
  const wanted = text.toUpperCase().replaceAll("-", "_");
  const exact = names.find((name) => name === wanted || String(ErrorCode[name]) === text);
  if (exact !== undefined) return exact;
  const found = names.filter((name) => wanted !== "" && name.startsWith(wanted));
  const [first, ...more] = found;
  if (first !== undefined && more.length === 0) return first;
  throw new HoldfastError(
    ErrorCode.INVALID_ARGUMENT,
    found.length > 0
      ? `codes that begin with ${wanted}: ${found.join(", ")}`
      : `${JSON.stringify(text)} is neither an error code nor something to explain`,
    { next: USAGE },
  );
}
