import { errorDetail, type ErrorCode, type ErrorExtras } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { EventKind } from "./events.js";
import { bytesOf, type Id } from "./ids.js";
import type { Store } from "./store.js";
import type { HandleRow } from "./tables/handles.js";
import type { PendingRow } from "./tables/records.js";
import type { SessionRow } from "./tables/sessions.js";

/** A file whose size, attributes or times are others now, and who did it. */
export interface ChangedFile {
  readonly share: string;
  readonly path: string;
  readonly client: Id;
  /** Key of the directory's lease that this client named as its own; empty: none. */
  readonly parentKey: Id;
}

/** One command in execution: where it stands, and what it leaves besides its changes. */
export class Tx {
  readonly events: v1.IEvent[] = [];
  /** Parked calls that a change may let go; tried again after the command, in the order of parking. */
  readonly woken = new Set<PendingRow>();
  /** Files that were changed, or may have been: after the command the leases of their directories end. */
  changed: ChangedFile[] = [];

  constructor(
    readonly store: Store,
    readonly revision: number,
    /** Cluster time. */
    readonly nowMs: number,
  ) {}

  /** Adds an event. `node` empty: for whoever watches. */
  emit(kind: EventKind, node: string, text: string, more: Partial<v1.IEvent> = {}): void {
    this.events.push({
      revision: this.revision,
      ordinal: this.events.length,
      clusterTimeMs: this.nowMs,
      kind,
      node,
      text,
      ...more,
    });
  }

  /** An event about a session. */
  emitSession(kind: EventKind, node: string, session: SessionRow, text: string): void {
    this.emit(kind, node, text, {
      sessionId: session.r.id,
      clientGuid: session.r.clientGuid,
      session: { ...session.r, resumeToken: NO_TOKEN },
    });
  }

  /** An event about a handle. */
  emitHandle(kind: EventKind, node: string, handle: HandleRow, text: string): void {
    this.emit(kind, node, text, {
      sessionId: handle.session.r.id,
      handleId: bytesOf(handle.id),
      clientGuid: bytesOf(handle.client),
      handle: handle.toRecord(),
    });
  }

  /** Notes a changed handle. */
  touchHandle(handle: HandleRow): void {
    handle.changedRevision = this.revision;
    this.store.touch(handle);
  }

  /** Notes a changed session. */
  touchSession(session: SessionRow): void {
    session.r.changedRevision = this.revision;
    this.store.touch(session);
  }

  /** Something changed at this file: whoever waits there is tried again. */
  wake(share: string, path: string, fileId: string): void {
    if (this.store.pending.byId.size === 0) return;
    for (const row of this.store.pending.near(share, path)) this.woken.add(row);
    for (const row of this.store.pending.ofFile(share, fileId)) this.woken.add(row);
  }

  /** Calls of a session were passed over while it was frozen or being taken over: all of them are tried again. */
  wakeSession(session: SessionRow): void {
    if (this.store.pending.byId.size === 0) return;
    for (const row of this.store.pending.ofSession(session.r.id)) this.woken.add(row);
  }

  wakeHandle(handle: HandleRow): void {
    this.wake(handle.share, handle.path, handle.fileId);
  }
}

// The token is the client's secret: events go to operators and other nodes.
const NO_TOKEN = new Uint8Array(0);

/** A refusal. */
export function fail(code: ErrorCode, message: string, extras?: ErrorExtras): v1.ICommandResult {
  return { error: errorDetail(code, message, extras) };
}

/** A refusal from a detail. */
export function failed(error: v1.IErrorDetail): v1.ICommandResult {
  return { error };
}
