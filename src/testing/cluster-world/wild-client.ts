import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import { Violation } from "../sim/simulation.js";
import type { ClusterWorld } from "./cluster-world.js";
import { ProtocolClient } from "./protocol-client.js";
import { WildCalls } from "./wild-calls.js";
import { type WildHandle, type WildRequests, wildRequests } from "./wild-requests.js";

/** Leeway for clocks whose rates differ by up to a hundredth, and for what was on the wire. */
const PROMISE_KEPT = 0.97;
const HANDLES_MAX = 6;

/**
 * A client that does everything a protocol allows, and much that it forbids, at random: every disposition, share mode and
 * lease, replays and repeats with right and wrong arguments, locks with and without buckets, disconnects of all lengths,
 * attempts to resume what is somebody else's. The log oracle judges what the cluster makes of it; what only a client can
 * see is judged here.
 */
export class WildClient {
  readonly name = null;
  readonly handles: WildHandle[] = [];
  readonly requests: WildRequests;
  readonly calls: WildCalls;
  private serial = 0;
  private stopped = false;

  constructor(
    readonly id: number,
    readonly world: ClusterWorld,
    readonly client: ProtocolClient,
    readonly prng: Prng,
    readonly principal: string,
  ) {
    this.requests = wildRequests(prng);
    this.calls = new WildCalls(this);
    client.onNotice = (notice) => this.noticed(notice);
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    while (!this.stopped) {
      await this.world.pause(this.prng.exponential(this.calls.meanPauseUs));
      if (this.stopped) break;
      if (this.client.connected) await this.calls.one();
      else await this.attach();
    }
    this.client.leave();
  }

  /** Walks away for good: what it holds is left to its timeouts. */
  stop(): void {
    this.stopped = true;
  }

  situation(name: string): void {
    this.world.sim.tally.situation(`wild: ${name}`);
  }

  guid(): Uint8Array {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setUint32(0, this.id);
    new DataView(bytes.buffer).setUint32(4, ++this.serial);
    bytes[15] = 7;
    return bytes;
  }

  private async attach(): Promise<void> {
    const { client } = this;
    const session = client.info;
    if (session === null) {
      if ((await client.open()) === null) this.situation("session opened");
      return;
    }
    const { heardUs } = client;
    const error = await this.resume(session);
    if (error === null) {
      this.situation("session resumed");
      await this.resumeHandles();
      return;
    }
    const gone = error.code === ErrorCode.UNKNOWN_SESSION || error.code === ErrorCode.USER_SESSION_DELETED;
    if (!gone) return;
    this.situation("session expired");
    this.promise("session", this.world.sim.nowUs - heardUs, session.timeoutMs ?? 0);
    client.info = null;
    this.handles.length = 0;
  }

  /** Comes back to its session; what it had in hand is to be resumed. */
  resume(session: v1.ISessionInfo): Promise<v1.IErrorDetail | null> {
    const { client } = this;
    for (const handle of this.handles) {
      if (handle.inHand) handle.heldUs = client.heardUs;
      handle.inHand = false;
    }
    client.channelSequence = (client.channelSequence + 1) & 0xffff;
    return client.resume(session);
  }

  /** A client that comes back within the time that it was promised finds what it had (semantics.md A7). */
  promise(what: string, awayUs: number, promisedMs: number): void {
    if (awayUs >= promisedMs * 1000 * PROMISE_KEPT) return;
    throw new Violation(
      "never expired early",
      `wild ${this.id} came back after ${awayUs / 1000} ms; its ${what} was promised ${promisedMs} ms and is gone`,
    );
  }

  private async resumeHandles(): Promise<void> {
    for (const handle of [...this.handles]) {
      if (!this.client.connected) return;
      if (this.prng.chance(0.85)) await this.calls.reconnect(handle);
    }
  }

  /** Keeps a handle that was opened; with too many the oldest is closed. */
  async keep(handle: WildHandle): Promise<void> {
    this.handles.push(handle);
    const oldest = this.handles[0];
    if (this.handles.length > HANDLES_MAX && oldest !== undefined) await this.calls.close(oldest);
  }

  drop(handle: WildHandle): void {
    const at = this.handles.indexOf(handle);
    if (at >= 0) this.handles.splice(at, 1);
  }

  private noticed(notice: v1.INotice): void {
    const broken = notice.leaseBreak;
    if (!broken) return;
    this.situation("lease break noticed");
    if (!broken.ackRequired || this.prng.chance(0.15)) return;
    const state = this.prng.chance(0.7) ? (broken.breakTo ?? 0) : (broken.breakTo ?? 0) & this.prng.below(8);
    this.world.sim.after(this.prng.exponential(200_000), () => {
      void this.client.ask({ ackLease: { key: broken.key ?? null, state } });
    });
  }
}
