/**
 * How a node process ends, for supervisors: a code of its own wherever the right reaction differs. 2, 66 and 73 want a
 * person; 1, 70 and 74 may be started again.
 */
export const NODE_EXIT = {
  stopped: 0,
  failed: 1,
  /** Wrong flag or configuration. */
  usage: 2,
  /** Data folder damaged, of another node or of a newer version. */
  dataDamaged: 66,
  /** Another process uses the data folder. */
  dataInUse: 67,
  /** A port is taken or an address is not ours. */
  addressInUse: 69,
  /** A broken invariant or an exception that nobody caught. */
  internal: 70,
  /** The data folder cannot be made or written. */
  dataUnwritable: 73,
  /** The disk failed under a running node: the first failed sync ends it (lessons L10, L21). */
  diskFailed: 74,
} as const;

/** A reason to end the process with one clear line: what, the value, the next step. */
export class NodeExitError extends Error {
  override readonly name = "NodeExitError";
  readonly exitCode: number;
  readonly next: string;

  constructor(exitCode: number, message: string, next: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.next = next;
  }

  /** The one line for stderr. */
  get line(): string {
    return `holdfast: ${this.message.replaceAll(/\s*\n\s*/g, " ")}. Next: ${this.next}`;
  }
}
