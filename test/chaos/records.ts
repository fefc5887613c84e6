/** One line of the history that the workload writes and the checks read. Times are microseconds of one clock. */
export interface OpRecord {
  readonly client: number;
  readonly op: "lock" | "increment" | "unlock" | "append" | "claim" | "publish" | "open" | "close";
  /** File name within the share. */
  readonly target: string;
  readonly callUs: number;
  readonly returnUs: number;
  /** `done`; `refused` with a code: certainly nothing happened; `unknown`: it may have happened. */
  readonly outcome: "done" | "refused" | "unknown";
  readonly code?: string;
  /** Counter value that was read (increment), sequence (append). */
  readonly value?: number;
  /** Longest pause that a client saw is derived from these. */
  readonly owner?: string;
}

/** First and last thing that the workload says, apart from its history. */
export type WorkloadLine =
  | { readonly type: "ready" }
  | { readonly type: "op"; readonly record: OpRecord }
  | {
      readonly type: "event";
      readonly client: number;
      readonly name: string;
      readonly atUs: number;
      readonly text: string;
    }
  | { readonly type: "finished"; readonly clients: number }
  | { readonly type: "failed"; readonly client: number; readonly message: string };

/** One node as the probe found it. */
export interface NodeRow {
  readonly node: string;
  readonly role: string;
  readonly term: number;
  readonly clusterTimeMs: number;
  /** When it answered, on the clock of the machine. */
  readonly atMs: number;
}

/** What one workload process is told. */
export interface WorkloadOptions {
  readonly nodes: readonly string[];
  readonly share: string;
  readonly clients: number;
  readonly counters: number;
  readonly seed: number;
  readonly deadlineMs: number;
}

/** Bytes of one journal record: fixed, so that a torn or doubled one is seen at a glance. */
export const JOURNAL_RECORD_BYTES = 64;

/** The journal line of a client. */
export function journalRecord(client: number, sequence: number): string {
  return `client=${client} sequence=${sequence} `.padEnd(JOURNAL_RECORD_BYTES - 1, ".") + "\n";
}
