import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  checkLinearizable,
  lockModel,
  partition,
  type LockInput,
  type LockOutput,
  type Operation,
} from "../../src/testing/index.js";
import { checkCounters } from "./counters.js";
import type { Fencing } from "./fences.js";
import { LateWrites } from "./late-writes.js";
import { JOURNAL_RECORD_BYTES, journalRecord, type OpRecord } from "./records.js";
import { checkWalls } from "./walls.js";

/** What a run promised and what it found. Empty `violations` is the only good end. */
export interface Verdict {
  readonly violations: string[];
  readonly figures: Record<string, number>;
  /** Writes of a stopped owner that landed late where no fence keeps them out: counted, each with its explanation. */
  readonly lateWrites: string[];
}

/** All checks over a history and over what stands in the share afterwards. */
export async function checkRun(
  history: readonly OpRecord[],
  shareFolder: string,
  fencing: Fencing,
): Promise<Verdict> {
  const late = new LateWrites(fencing);
  const verdict: Verdict = { violations: [], figures: {}, lateWrites: late.found };
  for (const pair of PAIRS) {
    checkHolds(history, pair, verdict);
    checkLinear(history, pair, verdict);
  }
  const contentOf = (target: string): Promise<Buffer> => bytesOf(shareFolder, target);
  verdict.violations.push(
    ...(await checkCounters(history, contentOf, late)),
    ...(await checkWalls(history, contentOf, late)),
    ...late.tooMany(),
  );
  await checkJournals(history, shareFolder, verdict);
  await checkClaims(history, shareFolder, verdict);
  await checkPublished(history, shareFolder, verdict);
  verdict.figures["increments"] = doneOf(history, "increment");
  verdict.figures["paintings"] = doneOf(history, "paint");
  verdict.figures["late writes"] = late.found.length;
  verdict.figures["operations"] = history.length;
  verdict.figures["unknown"] = history.filter((each) => each.outcome === "unknown").length;
  return verdict;
}

interface Hold {
  readonly client: number;
  readonly fromUs: number;
  readonly toUs: number;
}

/** What one client at a time may hold: a lock, and a file that is opened so that nobody else may have it open. */
interface Pair {
  readonly take: OpRecord["op"];
  readonly give: OpRecord["op"];
  /** The refusal that says that somebody has it; any other says nothing about it. */
  readonly taken: string;
  readonly noun: string;
}

const PAIRS: readonly Pair[] = [
  { take: "lock", give: "unlock", taken: "LOCK_NOT_GRANTED", noun: "lock" },
  { take: "open", give: "close", taken: "SHARING_VIOLATION", noun: "open" },
];

/** Two clients never hold one: surely held from the answer to the taking to the call of the giving back. */
function checkHolds(history: readonly OpRecord[], pair: Pair, verdict: Verdict): void {
  const byTarget = new Map<string, Hold[]>();
  const open = new Map<string, OpRecord>();
  for (const record of [...history].sort((a, b) => a.callUs - b.callUs)) {
    const key = `${record.client}/${record.target}`;
    if (record.op === pair.take && record.outcome === "done") open.set(key, record);
    if (record.op !== pair.give) continue;
    const lock = open.get(key);
    open.delete(key);
    if (lock === undefined) continue;
    const holds = byTarget.get(record.target) ?? [];
    holds.push({ client: record.client, fromUs: lock.returnUs, toUs: record.callUs });
    byTarget.set(record.target, holds);
  }
  let count = 0;
  for (const [target, holds] of byTarget) {
    holds.sort((a, b) => a.fromUs - b.fromUs);
    count += holds.length;
    let last: Hold | null = null;
    for (const hold of holds) {
      if (last !== null && last.client !== hold.client && hold.fromUs < last.toUs)
        verdict.violations.push(
          `${pair.noun} held twice: ${target} by client ${last.client} until ${last.toUs} and by ${hold.client} from ${hold.fromUs} µs`,
        );
      if (last === null || hold.toUs > last.toUs) last = hold;
    }
  }
  verdict.figures[`${pair.noun}s held`] = count;
}

/**
 * The lock operations of each file are linearizable, and so are its opens. Each taking is a holder of its own: whose giving
 * back has no known outcome may be refused by what he has himself.
 */
function checkLinear(history: readonly OpRecord[], pair: Pair, verdict: Verdict): void {
  const operations: (Operation<LockInput, LockOutput> & { readonly target: string })[] = [];
  const takings = new Map<string, number>();
  for (const record of [...history].sort((a, b) => a.callUs - b.callUs)) {
    if (record.op !== pair.take && record.op !== pair.give) continue;
    const key = `${record.client}/${record.target}`;
    if (record.op === pair.take) takings.set(key, (takings.get(key) ?? 0) + 1);
    const who = `client ${record.client}, taking ${takings.get(key) ?? 0}`;
    if (record.outcome === "refused" && record.code !== pair.taken) continue;
    const known = record.outcome !== "unknown";
    operations.push({
      target: record.target,
      client: record.client,
      input: record.op === pair.take ? { acquire: who } : { release: who },
      callUs: record.callUs,
      returnUs: known ? record.returnUs : Infinity,
      output: known ? { done: record.outcome === "done" } : null,
    });
  }
  for (const part of partition(operations, (each) => (each as { target?: string }).target ?? "")) {
    const result = checkLinearizable(part, lockModel, 20_000_000);
    const target = (part[0] as { target?: string } | undefined)?.target ?? "";
    if (result.verdict === "not-linearizable")
      verdict.violations.push(
        `${pair.noun}s of ${target} are not linearizable (${part.length} operations, ${result.steps} steps)`,
      );
    if (result.verdict === "gave-up")
      verdict.figures["linearizabilityGaveUp"] = (verdict.figures["linearizabilityGaveUp"] ?? 0) + 1;
  }
}

async function bytesOf(folder: string, name: string): Promise<Buffer> {
  try {
    return await readFile(join(folder, name));
  } catch {
    return Buffer.alloc(0);
  }
}

function doneOf(history: readonly OpRecord[], op: OpRecord["op"]): number {
  return history.filter((each) => each.op === op && each.outcome === "done").length;
}

/** Each acknowledged append is in the journal exactly once, in order; what is unknown at most once. */
async function checkJournals(history: readonly OpRecord[], folder: string, verdict: Verdict): Promise<void> {
  const clients = new Set(history.filter((each) => each.op === "append").map((each) => each.client));
  for (const client of clients) {
    const bytes = await bytesOf(folder, `journal-${client}`);
    if (bytes.length % JOURNAL_RECORD_BYTES !== 0)
      verdict.violations.push(`journal-${client} has ${bytes.length} bytes: no whole number of records`);
    const lines = new Map<string, number>();
    for (let at = 0; at + JOURNAL_RECORD_BYTES <= bytes.length; at += JOURNAL_RECORD_BYTES) {
      const line = bytes.toString("utf8", at, at + JOURNAL_RECORD_BYTES);
      if (lines.has(line)) verdict.violations.push(`journal-${client} holds a record twice: ${line.trim()}`);
      lines.set(line, at);
    }
    let last = -1;
    for (const record of history) {
      if (record.op !== "append" || record.client !== client) continue;
      const at = lines.get(journalRecord(client, record.value ?? -1));
      if (at !== undefined) lines.delete(journalRecord(client, record.value ?? -1));
      if (record.outcome === "done" && at === undefined)
        verdict.violations.push(`journal-${client} lacks acknowledged record ${record.value}`);
      if (at !== undefined && at < last)
        verdict.violations.push(`journal-${client}: record ${record.value} is out of order`);
      if (at !== undefined) last = at;
    }
    for (const line of lines.keys())
      verdict.violations.push(`journal-${client} holds what nobody wrote: ${line.trim()}`);
  }
}

/** A name is created by one client at most, and the file says by whom. */
async function checkClaims(history: readonly OpRecord[], folder: string, verdict: Verdict): Promise<void> {
  const winners = new Map<string, number>();
  for (const record of history) {
    if (record.op !== "claim" || record.outcome !== "done") continue;
    const other = winners.get(record.target);
    if (other !== undefined)
      verdict.violations.push(
        `${record.target} was created by client ${other} and by client ${record.client}`,
      );
    winners.set(record.target, record.client);
    const content = (await bytesOf(folder, record.target)).toString();
    if (content !== String(record.client))
      verdict.violations.push(`${record.target} holds "${content}", created by client ${record.client}`);
  }
  verdict.figures["claims"] = winners.size;
}

/** A published file stands under its name with its content, and its draft is gone; nothing of ours is left lying about. */
async function checkPublished(history: readonly OpRecord[], folder: string, verdict: Verdict): Promise<void> {
  const names = new Set(await readdir(folder));
  const unknown = new Set<string>();
  for (const record of history) {
    if (record.op !== "publish") continue;
    const draft = record.target.replace("published", "draft");
    // Refused for lack of room half way: the draft was made, and whoever made it was told that it is not published.
    if (record.outcome !== "done") unknown.add(draft).add(record.target);
    if (record.outcome !== "done") continue;
    const content = (await bytesOf(folder, record.target)).toString();
    if (content !== record.target) verdict.violations.push(`${record.target} holds "${content}"`);
    if (names.has(draft)) verdict.violations.push(`${draft} is still there beside ${record.target}`);
  }
  for (const name of names)
    if (name.startsWith("draft-") && !unknown.has(name)) verdict.violations.push(`${name} was left behind`);
}
