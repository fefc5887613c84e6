import { v1 } from "../../wire/index.js";
import { Kind, numberKey, textKey } from "../keys.js";
import { type Full, maker } from "../record.js";
import { Row } from "../row.js";
import type { SessionRow } from "./sessions.js";

// Types and makers of the records whose tables are small or rarely touched.

/** The record of the cluster itself, every field present. */
export type ClusterRecord = Full<v1.IClusterRecord>;
/** The record of a member of the consensus group, every field present. */
export type MemberRecord = Full<v1.IMemberRecord>;
/** The record of a file node, every field present. */
export type NodeRecord = Full<v1.INodeRecord>;
/** The record of an announced effect, every field present. */
export type EffectRecord = Full<v1.IEffectRecord>;
/** The record of a parked call, every field present. */
export type PendingRecord = Full<v1.IPendingRecord>;
/** The record of a transfer or drain, every field present. */
export type OperationRecord = Full<v1.IOperationRecord>;
/** The record of a failover, every field present. */
export type FailoverRecord = Full<v1.IFailoverRecord>;
/** The record of a recent change of a name, every field present. */
export type NameChangeRecord = Full<v1.INameChangeRecord>;

/** Makes the record of the cluster itself from some of its fields. */
export const clusterRecord = maker<v1.IClusterRecord>(v1.ClusterRecord);
/** Makes the record of a member of the consensus group from some of its fields. */
export const memberRecord = maker<v1.IMemberRecord>(v1.MemberRecord);
/** Makes the record of a file node from some of its fields. */
export const nodeRecord = maker<v1.INodeRecord>(v1.NodeRecord);
/** Makes the record of an announced effect from some of its fields. */
export const effectRecord = maker<v1.IEffectRecord>(v1.EffectRecord);
/** Makes the record of a parked call from some of its fields. */
export const pendingRecord = maker<v1.IPendingRecord>(v1.PendingRecord);
/** Makes the record of a transfer or drain from some of its fields. */
export const operationRecord = maker<v1.IOperationRecord>(v1.OperationRecord);
/** Makes the record of a failover from some of its fields. */
export const failoverRecord = maker<v1.IFailoverRecord>(v1.FailoverRecord);
/** Makes the record of a recent change of a name from some of its fields. */
export const nameChangeRecord = maker<v1.INameChangeRecord>(v1.NameChangeRecord);

/** The one record of the cluster itself: counters, clock, shares. */
export class ClusterRow extends Row {
  constructor(readonly r: ClusterRecord) {
    super();
  }
  diskKey(): Uint8Array {
    return Uint8Array.of(Kind.cluster);
  }
  encode(): Uint8Array {
    return v1.ClusterRecord.encode(this.r).finish();
  }
}

/** A consensus member. */
export class MemberRow extends Row {
  constructor(readonly r: MemberRecord) {
    super();
  }
  diskKey(): Uint8Array {
    return numberKey(Kind.member, this.r.raftId);
  }
  encode(): Uint8Array {
    return v1.MemberRecord.encode(this.r).finish();
  }
}

/** A file node. */
export class NodeRow extends Row {
  /** While its takeover is under way: its sessions by id, and how far it came. Derived; null: not known. */
  waiting: { readonly rows: readonly SessionRow[]; at: number } | null = null;

  constructor(readonly r: NodeRecord) {
    super();
  }
  get up(): boolean {
    return this.r.status === v1.NodeStatus.NODE_UP;
  }
  diskKey(): Uint8Array {
    return textKey(Kind.node, this.r.name);
  }
  encode(): Uint8Array {
    return v1.NodeRecord.encode(this.r).finish();
  }
}

/** An announced effect. */
export class EffectRow extends Row {
  constructor(readonly r: EffectRecord) {
    super();
  }
  diskKey(): Uint8Array {
    return numberKey(Kind.effect, this.r.id);
  }
  encode(): Uint8Array {
    return v1.EffectRecord.encode(this.r).finish();
  }
}

/** A parked call. */
export class PendingRow extends Row {
  constructor(readonly r: PendingRecord) {
    super();
  }
  diskKey(): Uint8Array {
    return numberKey(Kind.pending, this.r.id);
  }
  encode(): Uint8Array {
    return v1.PendingRecord.encode(this.r).finish();
  }
}

/** An operator's operation. */
export class OperationRow extends Row {
  constructor(readonly r: OperationRecord) {
    super();
  }
  diskKey(): Uint8Array {
    return textKey(Kind.operation, this.r.id);
  }
  encode(): Uint8Array {
    return v1.OperationRecord.encode(this.r).finish();
  }
}

/** A failover or transfer, for the history. */
export class FailoverRow extends Row {
  constructor(readonly r: FailoverRecord) {
    super();
  }
  diskKey(): Uint8Array {
    return numberKey(Kind.failover, this.r.id);
  }
  encode(): Uint8Array {
    return v1.FailoverRecord.encode(this.r).finish();
  }
}

/** A change of a name. */
export class NameChangeRow extends Row {
  constructor(readonly r: NameChangeRecord) {
    super();
  }
  diskKey(): Uint8Array {
    return numberKey(Kind.nameChange, this.r.number);
  }
  encode(): Uint8Array {
    return v1.NameChangeRecord.encode(this.r).finish();
  }
}
