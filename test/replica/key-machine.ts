import type { Applied, ApplyContext, DirtyRecord, StateMachine } from "../../src/state/index.js";
import { v1 } from "../../src/wire/index.js";

const NO_APPLIED: Applied["events"] = [];

/**
 * A state machine that is just large enough to drive a replica: resume keys whose version counts how often they were
 * stored, the cluster record, members, and one deadline. What it leaves out throws.
 */
export function keyMachine(): StateMachine & { readonly applied: number } {
  const keys = new Map<string, v1.IResumeKeyRecord>();
  const members = new Map<number, v1.IMemberRecord>();
  const nodes = new Map<string, v1.INodeRecord>();
  let cluster: v1.IClusterRecord = { clusterId: "", clusterTimeMs: 0 };
  let applied = 0;
  const dirty = new Map<string, Uint8Array | null>();
  const touch = (key: string, value: Uint8Array | null): void => void dirty.set(key, value);
  const touchCluster = (): void => touch("c", v1.ClusterRecord.encode(cluster).finish());

  const store = (command: v1.IStoreKey, context: ApplyContext): Applied => {
    const key = command.key ?? "";
    const before = keys.get(key);
    const record: v1.IResumeKeyRecord = {
      key,
      state: command.state ?? new Uint8Array(),
      version: ((before?.version as number | undefined) ?? 0) + 1,
      changedRevision: context.index,
      deadlineMs: before?.deadlineMs ?? 0,
    };
    keys.set(key, record);
    touch(`k${key}`, v1.ResumeKeyRecord.encode(record).finish());
    return {
      result: { revision: context.index, key: record },
      events: [{ kind: "key", revision: context.index, key: record }],
    };
  };

  const execute = (command: v1.ICommand, context: ApplyContext): Applied => {
    if (command.initCluster) {
      cluster = { ...cluster, clusterId: command.initCluster.clusterId ?? "" };
      for (const member of command.initCluster.members ?? []) setMember(member, false);
    } else if (command.setMember?.member) {
      setMember(command.setMember.member, command.setMember.removed ?? false);
    } else if (command.storeKey) {
      return store(command.storeKey, context);
    } else if (command.claimKey) {
      // In this machine a claim only sets a deadline, to have something that expires.
      const key = command.claimKey.key ?? "";
      const record = {
        ...keys.get(key),
        key,
        deadlineMs: context.clusterTimeMs + (command.claimKey.timeoutMs ?? 0),
      };
      keys.set(key, record);
      touch(`k${key}`, v1.ResumeKeyRecord.encode(record).finish());
    } else if (command.expireKey) {
      keys.delete(command.expireKey.key ?? "");
      touch(`k${command.expireKey.key}`, null);
    } else if (command.registerNode?.node) {
      nodes.set(command.registerNode.node.name ?? "", {
        ...command.registerNode.node,
        status: v1.NodeStatus.NODE_UP,
      });
    } else if (command.nodeDown) {
      const node = nodes.get(command.nodeDown.node ?? "");
      if (node) nodes.set(node.name ?? "", { ...node, status: v1.NodeStatus.NODE_DOWN });
    } else if (command.batch) {
      return {
        result: {
          revision: context.index,
          batch: { results: (command.batch.commands ?? []).map((c) => execute(c, context).result) },
        },
        events: NO_APPLIED,
      };
    }
    return { result: { revision: context.index }, events: NO_APPLIED };
  };

  const setMember = (member: v1.IMemberRecord, removed: boolean): void => {
    const id = member.raftId ?? 0;
    if (removed) members.delete(id);
    else members.set(id, member);
    touch(`m${id}`, removed ? null : v1.MemberRecord.encode(member).finish());
  };

  const notUsed = (): never => {
    throw new Error("not part of the test's state machine");
  };

  return {
    get applied() {
      return applied;
    },
    apply(command, context) {
      applied++;
      cluster = { ...cluster, clusterTimeMs: context.clusterTimeMs };
      touchCluster();
      return execute(command, context);
    },
    takeDirty(): DirtyRecord[] {
      const records = [...dirty].map(([key, value]) => ({ key: Buffer.from(key), value }));
      dirty.clear();
      return records;
    },
    load(records) {
      for (const { key, value } of records) {
        const name = Buffer.from(key).toString();
        if (name === "c") cluster = v1.ClusterRecord.decode(value);
        else if (name.startsWith("m")) {
          const member = v1.MemberRecord.decode(value);
          members.set(member.raftId, member);
        } else keys.set(name.slice(1), v1.ResumeKeyRecord.decode(value));
      }
    },
    finishLoad: () => true,
    digest: notUsed,
    due(now) {
      const late = [...keys.values()].filter((k) => (k.deadlineMs ?? 0) !== 0 && Number(k.deadlineMs) <= now);
      return late.map((k) => ({ expireKey: { key: k.key ?? "" } }));
    },
    nextDueMs() {
      let next = Infinity;
      for (const { deadlineMs } of keys.values())
        if (deadlineMs && Number(deadlineMs) < next) next = Number(deadlineMs);
      return next;
    },
    cluster: () => cluster,
    members: () => members.values(),
    node: (name) => nodes.get(name),
    nodes: () => nodes.values(),
    session: () => undefined,
    sessions: () => [],
    sessionsOf: () => [],
    sessionCountOf: () => 0,
    handle: () => undefined,
    handles: () => [],
    handlesOfSession: () => [],
    handlesOfFile: () => [],
    key: (key) => keys.get(key),
    keysOf: () => keys.values(),
    leases: () => [],
    lease: () => undefined,
    effects: () => [],
    pending: () => [],
    preparingLocks: () => [],
    operations: () => [],
    failovers: () => [],
    slot: () => undefined,
    counts: () => ({ sessions: 0, handles: 0, keys: keys.size, locks: 0 }),
  };
}
