import type { v1 } from "../wire/index.js";

/**
 * The coordinator as a file node sees it: the same calls that the public gRPC service offers, whether it sits in the
 * same process or elsewhere. Our own file node has no other door.
 */
export interface CoordinatorClient {
  /** Never rejects: errors are in the result. A lost answer is asked for again by itself until `deadlineMs` (monotonic). */
  execute(command: v1.ICommand, deadlineMs?: number): Promise<v1.ICommandResult>;
  query(query: v1.IStateQuery, deadlineMs?: number): Promise<v1.IStateAnswer>;
  /** Events addressed to `node` or to all, in order; `onResync` when some were lost. The returned function ends it. */
  watch(node: string, listener: CoordinatorEvents): () => void;
}

/** Receives what a watch brings. */
export interface CoordinatorEvents {
  onEvents(events: readonly v1.IEvent[]): void;
  onResync(revision: number): void;
}
