import type { v1 } from "../wire/index.js";
import type { StateView } from "./api.js";
import { idOf } from "./ids.js";
import { preparingOn } from "./mechanics/file-locks.js";
import type { Store } from "./store.js";

/** The reading side. Small records are handed out as they are; handles, leases and keys are made from their rows. */
export class View implements StateView {
  constructor(protected store: Store) {}

  cluster(): v1.IClusterRecord {
    return this.store.cluster.r;
  }

  *members(): Iterable<v1.IMemberRecord> {
    for (const row of this.store.members.values()) yield row.r;
  }

  node(name: string): v1.INodeRecord | undefined {
    return this.store.nodes.get(name)?.r;
  }

  *nodes(): Iterable<v1.INodeRecord> {
    for (const row of this.store.nodes.values()) yield row.r;
  }

  session(id: number): v1.ISessionRecord | undefined {
    return this.store.sessions.byId.get(id)?.r;
  }

  *sessions(): Iterable<v1.ISessionRecord> {
    for (const row of this.store.sessions.byId.values()) yield row.r;
  }

  *sessionsOf(node: string): Iterable<v1.ISessionRecord> {
    for (const row of this.store.sessions.ofOwner(node)) yield row.r;
  }

  sessionCountOf(node: string): number {
    return this.store.sessions.ofOwner(node).size;
  }

  handle(id: Uint8Array): v1.IHandleRecord | undefined {
    return this.store.handles.byId.get(idOf(id))?.toRecord();
  }

  *handles(): Iterable<v1.IHandleRecord> {
    for (const row of this.store.handles.byId.values()) yield row.toRecord();
  }

  *handlesOfSession(id: number): Iterable<v1.IHandleRecord> {
    for (const row of this.store.sessions.byId.get(id)?.handles ?? []) yield row.toRecord();
  }

  *handlesOfFile(share: string, fileIdOrPath: string): Iterable<v1.IHandleRecord> {
    const { handles } = this.store;
    const rows = new Set([...handles.ofFile(share, fileIdOrPath), ...handles.paths.at(share, fileIdOrPath)]);
    for (const row of rows) yield row.toRecord();
  }

  preparingLocks(share: string, fileId: string): Iterable<v1.IFileLock> {
    return preparingOn(this.store, share, fileId, null);
  }

  key(key: string): v1.IResumeKeyRecord | undefined {
    return this.store.keys.byName.get(key)?.toRecord();
  }

  *keysOf(node: string): Iterable<v1.IResumeKeyRecord> {
    for (const row of this.store.keys.ofOwner(node)) yield row.toRecord();
  }

  *leases(): Iterable<v1.ILeaseRecord> {
    for (const row of this.store.leases.byId.values()) yield row.toRecord();
  }

  lease(clientGuid: Uint8Array, key: Uint8Array): v1.ILeaseRecord | undefined {
    return this.store.leases.get(idOf(clientGuid), idOf(key))?.toRecord();
  }

  *effects(): Iterable<v1.IEffectRecord> {
    for (const row of this.store.effects.byId.values()) yield row.r;
  }

  *pending(): Iterable<v1.IPendingRecord> {
    for (const row of this.store.pending.byId.values()) yield row.r;
  }

  *operations(): Iterable<v1.IOperationRecord> {
    for (const row of this.store.operations.values()) yield row.r;
  }

  *failovers(): Iterable<v1.IFailoverRecord> {
    for (const row of this.store.failovers.values()) yield row.r;
  }

  slot(sessionId: number, slot: number): v1.ISlotRecord | undefined {
    return this.store.sessions.byId.get(sessionId)?.slots?.get(slot)?.toRecord();
  }

  counts(): {
    readonly sessions: number;
    readonly handles: number;
    readonly keys: number;
    readonly locks: number;
  } {
    const { sessions, handles, keys } = this.store;
    return {
      sessions: sessions.byId.size,
      handles: handles.byId.size - handles.closedCount,
      keys: keys.byName.size,
      locks: handles.lockCount,
    };
  }
}
