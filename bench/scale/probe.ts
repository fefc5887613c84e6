import { connect, connectKeys } from "../../src/client/index.js";

/** What a probe does over and over. */
interface Work {
  once(): Promise<void>;
  end(): Promise<void>;
}

/**
 * Somebody else's work during a measurement, in a closed loop. What it remembers is the longest wait, because that is
 * what a stall looks like from outside.
 */
export class Probe {
  private ended = false;
  private longestMs = 0;
  private count = 0;
  private readonly done: Promise<void>;

  private constructor(
    readonly name: string,
    private readonly work: Work,
  ) {
    this.done = this.run();
  }

  /** Stores 256 bytes under a resume key. */
  static async store(nodes: readonly string[], name: string): Promise<Probe> {
    const value = Buffer.alloc(256, 7);
    const keys = connectKeys({ nodes, server: name, incarnation: 1 });
    const record = await keys.claim(`probe/${name}`, value);
    return new Probe(name, {
      once: async () => void (await keys.store(record.key ?? "", record.epoch ?? 0, value)),
      end: async () => keys.close(),
    });
  }

  /** Opens a file with a persistent handle, and closes it. */
  static async open(nodes: readonly string[], name: string): Promise<Probe> {
    const session = await connect({ nodes, clientName: name });
    return new Probe(name, {
      once: async () => {
        const handle = await session.open(`demo:/${name}`, { disposition: "open-if" });
        await handle.close();
      },
      end: () => session.close(),
    });
  }

  private async run(): Promise<void> {
    while (!this.ended) {
      const began = performance.now();
      await this.work.once();
      this.longestMs = Math.max(this.longestMs, performance.now() - began);
      this.count++;
    }
  }

  /** Longest wait in ms and operations since the last call. */
  take(): { readonly longestMs: number; readonly count: number } {
    const taken = { longestMs: this.longestMs, count: this.count };
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
