import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import { Violation } from "../sim/simulation.js";
import type { ClusterNode } from "./cluster-node.js";
import type { ClusterWorld } from "./cluster-world.js";
import type { ProtocolClient } from "./protocol-client.js";

/** Scenes have one fault at a time: what is not done within this time is not done at all. */
const BOUND_US = 30_000_000;
const AGAIN_US = 50_000;
const READ_WRITE = 0x187;

/** A client in a scene: it sends what the scene tells it to, and comes back to its session whatever happened. */
export class SceneClient {
  readonly protocol: ProtocolClient;
  private readonly sequences: number[] = [];
  private guids = 0;

  constructor(
    readonly world: ClusterWorld,
    private readonly id: number,
    readonly prng: Prng,
  ) {
    const identity = { clientGuid: prng.bytes(16), name: `scene ${id}`, timeoutMs: 60_000 };
    this.protocol = world.population.protocolClient(id, "tester", identity);
  }

  /** Attaches to its session, at whatever node; a new one the first time. */
  async come(): Promise<void> {
    const { protocol, world } = this;
    const untilUs = world.sim.nowUs + BOUND_US;
    let error: v1.IErrorDetail | null = { code: ErrorCode.SERVER_UNAVAILABLE };
    while (error !== null && world.hostile) {
      if (world.sim.nowUs > untilUs)
        throw new Violation("liveness", `${protocol.identity.name} does not get in: ${error.message}`);
      protocol.channelSequence = (protocol.channelSequence + 1) & 0xffff;
      error = protocol.info === null ? await protocol.open() : await protocol.resume(protocol.info);
      if (error !== null) await world.pause(AGAIN_US);
    }
  }

  /** Its scene is over: nothing of it is in the way of the next one. */
  async end(): Promise<void> {
    if (!this.protocol.connected) await this.come();
    await this.protocol.ask({ closeSession: {} });
    this.protocol.leave();
  }

  /** The node that owns its session as far as the leader knows. */
  owner(): ClusterNode | undefined {
    const session = this.world.leader()?.state.session(this.protocol.info?.sessionId ?? 0);
    return this.world.node(session?.owner ?? "");
  }

  /** An id for a call that may have to be sent again. Those of one slot are sent one after the other. */
  request(slot: number): v1.IRequestId {
    const sequence = (this.sequences[slot] ?? 0) + 1;
    this.sequences[slot] = sequence;
    return { slot, sequence };
  }

  /** A create of a persistent handle that everybody may share. */
  create(path: string, disposition: v1.Disposition, timeoutMs = 60_000): v1.IOpenRequest {
    const createGuid = new Uint8Array(16).fill(9);
    new DataView(createGuid.buffer).setUint32(0, this.id);
    new DataView(createGuid.buffer).setUint32(4, ++this.guids);
    return {
      share: "demo",
      path,
      desiredAccess: READ_WRITE,
      shareMode: { read: true, write: true, delete: true },
      disposition,
      createGuid,
      kind: v1.HandleKind.PERSISTENT,
      timeoutMs,
    };
  }

  /** Sends the same call until an answer other than a transient error comes, over new connections where one is lost. */
  async insist(body: v1.IFileRequest, slot: number): Promise<v1.IFileResponse> {
    return this.repeat(body, this.request(slot), false);
  }

  /** The same for a call that has an id already; with `replay`, one that was sent before. */
  async repeat(body: v1.IFileRequest, request: v1.IRequestId, sentBefore = true): Promise<v1.IFileResponse> {
    const { protocol, world } = this;
    const untilUs = world.sim.nowUs + BOUND_US;
    let replay = sentBefore;
    for (;;) {
      const response = await protocol.ask(body, { request, replay });
      if (!response.error || !TRANSIENT.has(response.error.code ?? 0) || !world.hostile) return response;
      if (world.sim.nowUs > untilUs)
        throw new Violation("liveness", `a call is still refused: ${response.error.message}`);
      await world.pause(AGAIN_US);
      if (!protocol.connected) await this.come();
      replay = true;
    }
  }
}

const TRANSIENT: ReadonlySet<number> = new Set([
  ErrorCode.SERVER_UNAVAILABLE,
  ErrorCode.NOT_OWNER,
  ErrorCode.NOT_LEADER,
  ErrorCode.NOT_READY,
  ErrorCode.LEASE_LOST,
  ErrorCode.STALE_EPOCH,
  ErrorCode.CANCELLED,
  ErrorCode.OVERLOADED,
  ErrorCode.OUTCOME_UNKNOWN,
  ErrorCode.UNAUTHENTICATED,
  ErrorCode.FROZEN,
]);
