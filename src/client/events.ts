import type { HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { ConnectionState } from "./connection-table.js";

/** What a session tells its program without being asked. */
export interface SessionEvents {
  /** The connection moved to another state. */
  state: { readonly from: ConnectionState; readonly to: ConnectionState };
  /** The connection was lost and is looked for anew; calls wait. */
  disconnected: { readonly node: string; readonly reason: string };
  /** The session is back, handles and locks with it. */
  reconnected: { readonly node: string; readonly epoch: number; readonly pauseMs: number };
  /** The session has another owner than before. */
  moved: { readonly from: string; readonly to: string; readonly epoch: number };
  /** A lease must be given back, in part or whole; without a listener the library agrees by itself. */
  leaseBreak: {
    readonly key: Uint8Array;
    readonly breakTo: number;
    readonly ackRequired: boolean;
    /** Says that the caches are flushed; `state` at most `breakTo`, which is the default. */
    acknowledge(state?: number): Promise<void>;
  };
  /** An operator has moved one handle alone: it goes on at another node, in a session of its own. */
  handleMoved: { readonly path: string; readonly to: string; readonly session: number };
  /** One handle is no more, for a reason that is not the program's own close. */
  handleLost: { readonly path: string; readonly reason: string; readonly error: HoldfastError };
  /** The whole session is gone: expired while nobody reached the cluster, or replaced. Connect anew. */
  lost: { readonly error: HoldfastError };
  /** A node became reachable or unreachable, as a witness saw it. */
  nodeChange: { readonly node: string; readonly available: boolean; readonly reason: string };
}

/** A notice's own type, named here for those who handle it. */
export type Notice = v1.INotice;
