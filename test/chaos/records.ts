/** One line of the history that the workload writes and the checks read. Times are of `nowUs`. */
export interface OpRecord {
  readonly client: number;
  readonly op: "lock" | "increment" | "unlock" | "append" | "claim" | "publish" | "open" | "close" | "paint";
  /** File name within the share. */
  readonly target: string;
  readonly callUs: number;
  readonly returnUs: number;
  /** `done`; `refused` with a code: certainly nothing happened; `unknown`: it may have happened. */
  readonly outcome: "done" | "refused" | "unknown";
  readonly code?: string;
  /** Counter value that was read (increment), sequence (append), stamp that was written (paint). */
  readonly value?: number;
  /** Stamps that were read before (paint). */
  readonly found?: readonly number[];
  /** Who owned the client's session when the call began, as far as the client knew, and when it ended. */
  readonly from?: string;
  readonly owner?: string;
}

/** Microseconds on a clock that the harness and the workload share. It goes on evenly while a process runs. */
export function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
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
