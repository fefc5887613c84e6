import type { OpRecord } from "./records.js";

/** How the workload came to its end. */
export interface Ending {
  /** It ended by itself within the time that it was given. */
  readonly inTime: boolean;
  /** How many clients it says have ended in order; null: it said nothing. */
  readonly finished: number | null;
  /** What clients ended with otherwise. */
  readonly failures: readonly string[];
}

/** Every client did something, gave back what it held, and ended in order within its time. */
export function checkFinished(history: readonly OpRecord[], clients: number, ending: Ending): string[] {
  const violations = [...ending.failures];
  if (!ending.inTime) violations.push("not every client finished in time");
  if (ending.finished !== clients)
    violations.push(`${ending.finished ?? "none"} of ${clients} clients finished`);
  const held = new Map<string, OpRecord>();
  const busy = new Set<number>();
  for (const record of [...history].sort((a, b) => a.callUs - b.callUs)) {
    busy.add(record.client);
    const key = `${record.client}/${record.target}`;
    if ((record.op === "lock" || record.op === "open") && record.outcome === "done") held.set(key, record);
    if (record.op === "unlock" || record.op === "close") held.delete(key);
  }
  for (let client = 0; client < clients; client++)
    if (!busy.has(client)) violations.push(`client ${client} did nothing`);
  for (const { client, op, target } of held.values())
    violations.push(`client ${client} ended in the middle: its ${op} of ${target} was never given back`);
  return violations;
}
