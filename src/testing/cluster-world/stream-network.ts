import type { ClientNetwork, ClientStream, StreamEvents } from "../../client/transport-api.js";
import type { FileNode } from "../../filenode/api.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import type { SimNetwork } from "../sim/network.js";
import type { SimProcess } from "../sim/sim-process.js";
import type { Simulation } from "../sim/simulation.js";

/** A node as clients reach it: who answers at an address right now. */
export interface Listener {
  readonly place: number;
  readonly process: SimProcess;
  readonly fileNode: FileNode;
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
      openWitness: (_address, _request, events) => this.unserved(process, events),
      openCoordinatorStream: () => Promise.reject(unserved()),
      openHeartbeat: () => Promise.reject(unserved()),
    };
  }

  /** Witness streams are no part of this world: a client that finds none goes on without. */
  private unserved(process: SimProcess, events: StreamEvents<v1.IWitnessNotice>): ClientStream<never> {
    let open = true;
    const close = (): void => {
      if (!open) return;
      open = false;
      events.onClosed("no witness here");
    };
    this.sim.after(1000, process.bind(close));
    return { send() {}, congested: false, close };
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
      onMessage: (request) => void channel.call(request).then(answer),
      onClosed: () => channel.close(),
      lastArrivalUs: 0,
      closed: false,
    };
    this.watch(place, listener.place, client, server);
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

  private watch(a: number, b: number, client: Side<v1.IFileResponse>, server: Side<v1.IFileRequest>): void {
    let cutSinceUs = 0;
    const look = (): void => {
      if (client.closed && server.closed) return;
      if (!client.process.alive) this.close(server as Side<never>, "the client is gone", 100);
      if (!server.process.alive) this.close(client as Side<never>, "the server is gone", 100);
      const stuck =
        client.lastArrivalUs === Number.MAX_SAFE_INTEGER || server.lastArrivalUs === Number.MAX_SAFE_INTEGER;
      if (!this.cut(a, b) && !stuck) cutSinceUs = 0;
      else if (cutSinceUs === 0) cutSinceUs = this.sim.nowUs;
      else if (this.sim.nowUs - cutSinceUs > KEEPALIVE_US) {
        this.close(client as Side<never>, "keepalive missed", 1);
        this.close(server as Side<never>, "keepalive missed", 1);
      }
      this.sim.after(50_000, look);
    };
    this.sim.after(50_000, look);
  }
}
