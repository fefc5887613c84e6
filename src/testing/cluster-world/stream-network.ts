import type { ClientNetwork, ClientStream, StreamEvents } from "../../client/transport-api.js";
import type { FileChannel, FileNode } from "../../filenode/api.js";
import type { Witness } from "../../coordinator/witness.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import type { Registered } from "../checkers/index.js";
import type { SimNetwork } from "../sim/network.js";
import type { SimProcess } from "../sim/sim-process.js";
import type { Simulation } from "../sim/simulation.js";

/** A node as clients reach it: who answers at an address right now. */
export interface Listener {
  readonly node: string;
  readonly place: number;
  readonly process: SimProcess;
  readonly fileNode: FileNode;
  readonly witness: Witness;
}

/** Who looks on at what nodes let through. */
export interface StreamObserver {
  /** A node answered a request of a session; `session` is as it was attached when the request arrived. */
  answered(
    node: string,
    session: v1.ISessionRecord | null,
    startUs: number,
    request: v1.IFileRequest,
    response: v1.IFileResponse,
  ): void;
  /** A witness lets a notice go; `registered` stays the same object as long as the registration. */
  noticed(node: string, registered: Registered, request: v1.IWitnessRequest, notice: v1.IWitnessNotice): void;
}

function unserved(): HoldfastError {
  return new HoldfastError(ErrorCode.NOT_SUPPORTED, "this world serves only file streams");
}

/** Who dials. */
interface Caller {
  readonly place: number;
  readonly process: SimProcess;
  readonly principal: string;
}

/** A broken stream is noticed by keepalives after this time at the side that only listens. */
const KEEPALIVE_US = 2_000_000;

interface Side<T> {
  readonly process: SimProcess;
  readonly onMessage: (message: T) => void;
  readonly onClosed: (reason: string) => void;
  lastArrivalUs: number;
  closed: boolean;
}

/**
 * Streams between clients and nodes: in order and without loss while they live, as over one connection; cut by the end
 * of a process at once, by a partition when keepalives miss. Messages are encoded and decoded on the way.
 */
export class SimStreams {
  private readonly listeners = new Map<string, Listener>();
  delayMeanUs = 300;
  refuseRate = 0;
  observer: StreamObserver | null = null;

  constructor(
    private readonly sim: Simulation,
    private readonly network: SimNetwork<() => void>,
    private readonly prng: Prng,
  ) {}

  listen(address: string, listener: Listener | null): void {
    if (listener === null) this.listeners.delete(address);
    else this.listeners.set(address, listener);
  }

  /** The network as a client at `place` sees it; nodes know the client as `principal`. */
  clientNetwork(place: number, process: SimProcess, principal = "tester"): ClientNetwork {
    return {
      openFileStream: (address, timeoutMs, events) =>
        this.dial({ place, process, principal }, address, timeoutMs, events),
      openWitness: (address, request, events) =>
        this.openWitness({ place, process, principal }, address, request, events),
      openCoordinatorStream: () => Promise.reject(unserved()),
      openHeartbeat: () => Promise.reject(unserved()),
    };
  }

  /** A registration with the witness of a node; refused and broken as a file stream is. */
  private openWitness(
    { place, process }: Caller,
    address: string,
    request: v1.IWitnessRequest,
    events: StreamEvents<v1.IWitnessNotice>,
  ): ClientStream<never> {
    const client: Side<v1.IWitnessNotice> = {
      process,
      onMessage: (notice) => events.onMessage(notice),
      onClosed: (reason) => events.onClosed(reason),
      lastArrivalUs: 0,
      closed: false,
    };
    const end = (side: Side<never>, reason: string, afterUs: number): void =>
      this.close(side, reason, afterUs);
    let hangUp = (): void => undefined;
    this.sim.after(this.delay(), () => {
      if (client.closed) return;
      const listener = this.listeners.get(address);
      if (listener === undefined || !listener.process.alive || this.cut(place, listener.place)) {
        return end(client as Side<never>, "no connection", this.delay());
      }
      listener.process.bind(() => {
        if (client.closed) return;
        const registered: Registered = { revision: 0, epoch: 0 };
        const registration = listener.witness.register(
          request,
          (notice) => {
            this.observer?.noticed(listener.node, registered, request, notice);
            const bytes = v1.WitnessNotice.encode(notice).finish();
            this.carry(listener.place, place, listener.process, client, () => v1.WitnessNotice.decode(bytes));
            return true;
          },
          () => end(client as Side<never>, "the registration ended", this.delay()),
        );
        const server: Side<never> = {
          process: listener.process,
          onMessage: () => undefined,
          onClosed: () => registration.close(),
          lastArrivalUs: 0,
          closed: false,
        };
        hangUp = () => end(server, "closed by the client", this.delay());
        if (client.closed) return hangUp();
        this.watch(place, listener.place, client as Side<never>, server);
      })();
    });
    return {
      send() {},
      congested: false,
      close: () => {
        end(client as Side<never>, "closed", 1);
        hangUp();
      },
    };
  }

  private delay(): number {
    return 100 + this.prng.exponential(this.delayMeanUs);
  }

  private cut(a: number, b: number): boolean {
    return this.network.isBlocked(a, b) || this.network.isBlocked(b, a);
  }

  private dial(
    from: Caller,
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.IFileResponse>,
  ): Promise<ClientStream<v1.IFileRequest>> {
    const { place, process } = from;
    return new Promise((resolve, reject) => {
      const fail = (afterUs: number, why: string): void => {
        const error = new HoldfastError(ErrorCode.SERVER_UNAVAILABLE, `${address}: ${why}`);
        this.sim.after(
          afterUs,
          process.bind(() => reject(error)),
        );
      };
      this.sim.after(this.delay(), () => {
        const listener = this.listeners.get(address);
        if (listener === undefined || !listener.process.alive)
          return fail(this.delay(), "connection refused");
        if (this.cut(place, listener.place)) return fail(timeoutMs * 1000, "timed out");
        if (this.refuseRate > 0 && this.prng.chance(this.refuseRate)) return fail(this.delay(), "reset");
        const stream = this.connect(from, listener, events);
        this.sim.after(
          this.delay(),
          process.bind(() => resolve(stream)),
        );
      });
    });
  }

  private connect(
    { place, process, principal }: Caller,
    listener: Listener,
    events: StreamEvents<v1.IFileResponse>,
  ): ClientStream<v1.IFileRequest> {
    const client: Side<v1.IFileResponse> = {
      process,
      onMessage: (message) => events.onMessage(message),
      onClosed: (reason) => events.onClosed(reason),
      lastArrivalUs: 0,
      closed: false,
    };
    const answer = (response: v1.IFileResponse): void => {
      const bytes = v1.FileResponse.encode(response).finish();
      this.carry(listener.place, place, listener.process, client, () => v1.FileResponse.decode(bytes));
    };
    const peer = { principal, address: `client ${place}` };
    const channel = listener.fileNode.connect(peer, answer);
    const server: Side<v1.IFileRequest> = {
      process: listener.process,
      onMessage: (request) => void this.serve(listener, channel, request).then(answer),
      onClosed: () => channel.close(),
      lastArrivalUs: 0,
      closed: false,
    };
    this.watch(place, listener.place, client as Side<never>, server as Side<never>);
    const end = (side: Side<never>, reason: string, afterUs: number): void =>
      this.close(side, reason, afterUs);
    return {
      congested: false,
      send: (request) => {
        const bytes = v1.FileRequest.encode(request).finish();
        this.carry(place, listener.place, process, server, () => v1.FileRequest.decode(bytes));
      },
      close: () => {
        end(client as Side<never>, "closed", 1);
        end(server as Side<never>, "closed by the client", this.delay());
      },
    };
  }

  /** Has a node answer a request, under the eyes of the observer. */
  private async serve(
    listener: Listener,
    channel: FileChannel,
    request: v1.IFileRequest,
  ): Promise<v1.IFileResponse> {
    const startUs = this.sim.nowUs;
    const session = channel.session === null ? null : { ...channel.session };
    const response = await channel.call(request);
    if (listener.process.alive) this.observer?.answered(listener.node, session, startUs, request, response);
    return response;
  }

  /** One message; a partition swallows it, and with it everything after it on this stream. */
  private carry<T>(from: number, to: number, sender: SimProcess, side: Side<T>, decode: () => T): void {
    if (side.closed || !sender.alive) return;
    const arrival = Math.max(side.lastArrivalUs, this.sim.nowUs + Math.round(this.delay()));
    side.lastArrivalUs = arrival;
    this.sim.at(arrival, () => {
      if (side.closed) return;
      if (this.network.isBlocked(from, to)) {
        this.sim.tally.fault("stream stalled by a partition");
        side.lastArrivalUs = Number.MAX_SAFE_INTEGER;
        return;
      }
      side.process.bind(() => {
        if (!side.closed) side.onMessage(decode());
      })();
    });
  }

  private close(side: Side<never>, reason: string, afterUs: number): void {
    if (side.closed) return;
    side.closed = true;
    this.sim.after(
      afterUs,
      side.process.bind(() => side.onClosed(reason)),
    );
  }

  private watch(a: number, b: number, client: Side<never>, server: Side<never>): void {
    let cutSinceUs = 0;
    const look = (): void => {
      if (client.closed && server.closed) return;
      if (!client.process.alive) this.close(server, "the client is gone", 100);
      if (!server.process.alive) this.close(client, "the server is gone", 100);
      const stuck =
        client.lastArrivalUs === Number.MAX_SAFE_INTEGER || server.lastArrivalUs === Number.MAX_SAFE_INTEGER;
      if (!this.cut(a, b) && !stuck) cutSinceUs = 0;
      else if (cutSinceUs === 0) cutSinceUs = this.sim.nowUs;
      else if (this.sim.nowUs - cutSinceUs > KEEPALIVE_US) {
        this.close(client, "keepalive missed", 1);
        this.close(server, "keepalive missed", 1);
      }
      this.sim.after(50_000, look);
    };
    this.sim.after(50_000, look);
  }
}
