import type { LeaderInfo, Replica } from "../../src/replica/index.js";
import { createStateMachine, FORMAT_VERSION } from "../../src/state/index.js";
import type { v1 } from "../../src/wire/index.js";
import type { World } from "../client/world.js";

/** The replicated log with one member and no disk: the real state machine, a revision per command, a small delay. */
export class OneMember {
  readonly machine = createStateMachine();
  readonly proposed: v1.ICommand[] = [];
  readonly world: World;
  ready = true;
  #index = 10;
  readonly #onEvents = new Set<(events: readonly v1.IEvent[], revision: number) => void>();
  readonly #onRole = new Set<(info: LeaderInfo) => void>();

  constructor(world: World, nodes: readonly string[] = ["n1", "n2", "n3"]) {
    this.world = world;
    const shares = [{ name: "demo", continuouslyAvailable: true }];
    this.apply({ initCluster: { clusterId: "test", formatVersion: FORMAT_VERSION, shares } });
    for (const name of nodes) this.register(name, 1);
  }

  register(name: string, incarnation: number, more: v1.INodeRecord = {}): void {
    const grpcAddress = `${name}:7401`;
    this.apply({ registerNode: { node: { name, incarnation, grpcAddress, shares: ["demo"], ...more } } });
  }

  /** A session owned by `node`; its id. */
  open(node: string, tag: number): number {
    const result = this.apply({
      openSession: {
        clientGuid: new Uint8Array(16).fill(tag),
        principal: "user",
        clientName: `client-${tag}`,
        node,
        nodeIncarnation: this.machine.node(node)?.incarnation ?? 1,
        resumeToken: new Uint8Array(16).fill(tag),
        timeoutMs: 60_000,
      },
    });
    if (result.error) throw new Error(result.error.message ?? "refused");
    return result.session?.id ?? 0;
  }

  /** Applies at once. */
  apply(command: v1.ICommand): v1.ICommandResult {
    this.#index += 1;
    const { result, events } = this.machine.apply(command, {
      index: this.#index,
      clusterTimeMs: Math.round(this.world.nowMs),
    });
    this.machine.takeDirty();
    for (const listener of this.#onEvents) listener(events, this.#index);
    return result;
  }

  lead(ready: boolean): void {
    this.ready = ready;
    for (const listener of this.#onRole) listener(this.replica.leader());
  }

  /** As much of a replica as logic above it may use. */
  get replica(): Replica {
    return {
      propose: (command: v1.ICommand) =>
        new Promise((resolve) => {
          this.proposed.push(command);
          this.world.after(1, () => resolve(this.apply(command)));
        }),
      readBarrier: () => Promise.resolve(this.#index),
      state: this.machine,
      appliedIndex: this.#index,
      onEvents: (listener: (events: readonly v1.IEvent[], revision: number) => void) => {
        this.#onEvents.add(listener);
        return () => this.#onEvents.delete(listener);
      },
      onRoleChange: (listener: (info: LeaderInfo) => void) => {
        this.#onRole.add(listener);
        return () => this.#onRole.delete(listener);
      },
      leader: () => ({ isLeader: this.ready, term: 1, leaderId: 1, ready: this.ready }),
    } as unknown as Replica;
  }
}
