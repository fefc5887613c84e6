import { v1 } from "../wire/index.js";
import { Deadlines } from "./deadlines.js";
import { Journal, type Row } from "./row.js";
import { EffectTable } from "./tables/effects.js";
import { HandleTable } from "./tables/handles.js";
import { type LeaseRow, LeaseTable } from "./tables/leases.js";
import { NameTable } from "./tables/names.js";
import { PendingTable } from "./tables/pending.js";
import {
  ClusterRow,
  clusterRecord,
  type FailoverRow,
  type MemberRow,
  type NodeRow,
  type OperationRow,
} from "./tables/records.js";
import { KeyTable, type KeyRow } from "./tables/resume-keys.js";
import { type SessionRow, SessionTable } from "./tables/sessions.js";

/** Version of the record format that this program writes. It refuses to load a newer one. */
export const FORMAT_VERSION = 1;

/** What may become due. */
export type TimedRow = SessionRow | LeaseRow | KeyRow;

/** All records of the replicated state, with their indexes. */
export class Store {
  readonly journal = new Journal();
  readonly deadlines = new Deadlines<TimedRow>();
  cluster = emptyCluster();
  readonly members = new Map<number, MemberRow>();
  readonly nodes = new Map<string, NodeRow>();
  /** Dead nodes of whose sessions some still wait for their new owner. */
  readonly takeovers = new Set<NodeRow>();
  readonly sessions = new SessionTable();
  readonly handles = new HandleTable();
  readonly leases = new LeaseTable();
  readonly effects = new EffectTable();
  readonly pending = new PendingTable();
  readonly names = new NameTable();
  readonly keys = new KeyTable();
  readonly operations = new Map<string, OperationRow>();
  readonly failovers = new Map<number, FailoverRow>();

  /** Notes a change of a row; nothing is durable without it. */
  touch(row: Row): void {
    this.journal.touch(row);
  }

  /** Notes that a row is deleted. */
  drop(row: Row): void {
    row.gone = true;
    this.journal.touch(row);
  }

  share(name: string): v1.IShareRecord | undefined {
    for (const share of this.cluster.r.shares) if (share.name === name) return share;
    return undefined;
  }

  /** For error details. */
  address(node: string): v1.INodeAddress {
    const row = this.nodes.get(node);
    return row === undefined
      ? { node }
      : { node, grpcAddress: row.r.grpcAddress, httpAddress: row.r.httpAddress };
  }

  nextSessionId(): number {
    const id = this.cluster.r.nextSessionId;
    this.cluster.r.nextSessionId = id + 1;
    return id;
  }

  /** Also orders closings: it only grows. */
  nextHandleNumber(): number {
    const number = this.cluster.r.nextHandleNumber;
    this.cluster.r.nextHandleNumber = number + 1;
    return number;
  }

  nextEffectId(): number {
    const id = this.cluster.r.nextEffectId;
    this.cluster.r.nextEffectId = id + 1;
    return id;
  }

  nextPendingId(): number {
    const id = this.cluster.r.nextPendingId;
    this.cluster.r.nextPendingId = id + 1;
    return id;
  }

  nextFailoverId(): number {
    const id = this.cluster.r.nextFailoverId;
    this.cluster.r.nextFailoverId = id + 1;
    return id;
  }
}

/** A cluster record as it is before InitCluster. */
function emptyCluster(): ClusterRow {
  return new ClusterRow(
    clusterRecord({
      nextSessionId: 1,
      nextHandleNumber: 1,
      nextEffectId: 1,
      nextPendingId: 1,
      nextFailoverId: 1,
      nextNameChange: 1,
      formatVersion: FORMAT_VERSION,
    }),
  );
}
