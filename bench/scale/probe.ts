import { connect, connectKeys, type Session } from "../../src/client/index.js";

/** What a probe does over and over. */
interface Work {
  /** One round; each of its operations goes through `time`. */
  once(time: Time): Promise<void>;
  end(): Promise<void>;
}

/** Does one operation of a client and takes its time. */
type Time = <T>(operation: () => Promise<T>) => Promise<T>;

/**
 * Somebody else's work during a measurement, in a closed loop. What it remembers is the longest wait, because that is
 * what a stall looks like from outside.
 */
export class Probe {
  private ended = false;
  private longestMs = 0;
  private longestFromMs = 0;
  private count = 0;
  private readonly done: Promise<void>;

  private constructor(
    readonly name: string,
    private readonly work: Work,
    /** What its session told since the last call of `take`, with the time. */
    private readonly told: string[] = [],
  ) {
    this.done = this.run();
  }

  /** Stores 256 bytes under a resume key. */
  static async store(nodes: readonly string[], name: string): Promise<Probe> {
    const value = Buffer.alloc(256, 7);
    const keys = connectKeys({ nodes, server: name, incarnation: 1 });
    const record = await keys.claim(`probe/${name}`, value);
    return new Probe(name, {
      once: async (time) => void (await time(() => keys.store(record.key ?? "", record.epoch ?? 0, value))),
      end: async () => keys.close(),
    });
  }

  /** Opens a file with a persistent handle, and closes it: two operations. */
  static async open(nodes: readonly string[], name: string): Promise<Probe> {
    const session = await connect({ nodes, clientName: name });
    const told: string[] = [];
    listen(session, told);
    const once = async (time: Time) => {
      const handle = await time(() => session.open(`demo:/${name}`, { disposition: "open-if" }));
      await time(() => handle.close());
    };
    told.push(`session at ${session.owner}`);
    return new Probe(name, { once, end: () => session.close() }, told);
  }

  private async run(): Promise<void> {
    while (!this.ended) await this.work.once((operation) => this.time(operation));
  }

  private async time<T>(operation: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await operation();
    const tookMs = performance.now() - began;
    if (tookMs > this.longestMs) [this.longestMs, this.longestFromMs] = [tookMs, began];
    this.count++;
    return result;
  }

  /** Longest wait and its begin in ms, operations, and what the session told since the last call. */
  take(): Taken {
    const { longestMs, longestFromMs, count } = this;
    const taken = { longestMs, longestFromMs, count, told: this.told.splice(0) };
    this.longestMs = 0;
    this.count = 0;
    return taken;
  }

  async stop(): Promise<void> {
    this.ended = true;
    await this.done;
    await this.work.end();
  }
}

/** What a probe met in a stretch of time. Times on the clock of `performance.now`. */
export interface Taken {
  readonly longestMs: number;
  readonly longestFromMs: number;
  readonly count: number;
  readonly told: readonly string[];
}

/** Why a wait was long is often what the session told meanwhile. */
function listen(session: Session, told: string[]): void {
  const tell = (text: string) => void told.push(`${Math.round(performance.now())} ms: ${text}`);
  session.on("state", ({ from, to }) => tell(`${from} -> ${to}`));
  session.on("disconnected", ({ node, reason }) => tell(`left ${node}: ${reason}`));
  session.on("moved", ({ from, to }) => tell(`moved from ${from} to ${to}`));
  session.on("nodeChange", ({ node, available, reason }) =>
    tell(`${node} available ${available}: ${reason}`),
  );
}
