import { createStateMachine } from "../../src/state/index.js";
import type { StateMachine } from "../../src/state/api.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";

/** How much to make. */
export interface ScaleOptions {
  readonly sessions: number;
  readonly handlesPerSession: number;
}

/** A member and file node. */
export interface ScaleMember {
  readonly name: string;
  readonly raftId: number;
  readonly grpc: string;
}

const MEMBERS: readonly ScaleMember[] = [1, 2, 3].map((raftId) => ({
  name: `n${raftId}`,
  raftId,
  grpc: "127.0.0.1:1",
}));

/** 16 bytes that name the i-th thing of a kind. */
function id(kind: number, i: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, kind);
  view.setUint32(8, i);
  // Random ids in production are dense in every byte; so are these, or a hash of few bits would look good.
  for (let k = 12; k < 16; k++) bytes[k] = Math.imul(i + k, 0x9e3779b1) >>> 24;
  return bytes;
}

/** A state machine with three nodes and everything owned by the first, through the same commands as in production. */
export class ScaledState {
  readonly machine: StateMachine = createStateMachine();
  index = 1;
  clusterTimeMs = 1;

  apply(command: v1.ICommand): v1.ICommandResult {
    this.index++;
    return this.machine.apply(command, { index: this.index, clusterTimeMs: this.clusterTimeMs }).result;
  }

  private must(command: v1.ICommand): v1.ICommandResult {
    const result = this.apply(command);
    if (result.error) throw new Error(`${result.error.code}: ${result.error.message}`);
    return result;
  }

  found(members: readonly ScaleMember[]): void {
    this.must({
      initCluster: {
        clusterId: "local",
        formatVersion: 1,
        members: members.map(({ name, raftId, grpc }) => ({
          name,
          raftId,
          grpcAddress: grpc,
          incarnation: 1,
        })),
        shares: [{ name: "demo", continuouslyAvailable: true }],
      },
    });
    for (const { name, grpc } of members)
      this.must({
        registerNode: { node: { name, incarnation: 1, grpcAddress: grpc, shares: ["demo"] } },
      });
  }

  openSession(i: number): v1.ISessionRecord {
    const result = this.must({
      openSession: {
        clientGuid: id(1, i),
        principal: "bench",
        clientName: `client-${i}`,
        timeoutMs: limits.sessionTimeoutMsMax,
        node: "n1",
        nodeIncarnation: 1,
        resumeToken: id(2, i),
      },
    });
    return result.session as v1.ISessionRecord;
  }

  openHandle(session: v1.ISessionRecord, i: number): void {
    const fence = { sessionId: session.id!, epoch: session.epoch!, node: "n1", nodeIncarnation: 1 };
    this.must({
      openHandle: {
        fence,
        createGuid: id(3, i),
        handleId: id(4, i),
        kind: v1.HandleKind.PERSISTENT,
        timeoutMs: limits.handleTimeoutMsMax,
        share: "demo",
        path: `folder-${Math.floor(i / 1000)}/file-${i}`,
        desiredAccess: 0x3,
        maximalAccess: 0x1f01ff,
        shareMode: { read: true, write: true, delete: true },
        disposition: v1.Disposition.OPEN,
        observed: { exists: true, fileId: `8001:${i}:1`, size: 4096, revision: this.index },
      },
    });
  }
}

/** Fills a state; answers it. Dirty records go to `sink` in slices, as to a disk. */
export function fill(
  options: ScaleOptions & { readonly nodes?: readonly ScaleMember[] },
  sink: (records: ReturnType<StateMachine["takeDirty"]>) => void,
): ScaledState {
  const state = new ScaledState();
  state.found(options.nodes ?? MEMBERS);
  let handle = 0;
  for (let s = 0; s < options.sessions; s++) {
    const session = state.openSession(s);
    for (let h = 0; h < options.handlesPerSession; h++) state.openHandle(session, handle++);
    if (s % 10 === 0) sink(state.machine.takeDirty());
  }
  sink(state.machine.takeDirty());
  return state;
}
