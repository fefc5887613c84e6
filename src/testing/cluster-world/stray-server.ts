import { v1 } from "../../wire/index.js";
import type { Entry, Finish, Rule } from "../log-oracle/index.js";
import type { Prng } from "../sim/prng.js";
import type { ClusterWorld } from "./cluster-world.js";

const KEPT = 30;
const ATTRIBUTES = 0x80;

/**
 * File servers that are wrong about what they own, as the public Coordinator API has to expect them: one that was deposed
 * and goes on under its old epoch, one that learned the epoch and was never the owner, and a new owner that does not wait
 * until what it inherited is resolved. They open files for their attributes only, so that what is let through hurts
 * nobody; the log oracle says whether it may be.
 */
export class StrayServer implements Rule {
  private readonly seen: v1.IOpenHandle[] = [];
  private stopped = false;

  constructor(
    private readonly world: ClusterWorld,
    private readonly prng: Prng,
  ) {}

  /** Remembers opens of the log, with their fences. */
  begin({ command, name }: Entry): Finish | null {
    if (name === "openHandle" && command.openHandle?.observed?.exists) {
      this.seen.push(command.openHandle);
      if (this.seen.length > KEPT) this.seen.shift();
    }
    return null;
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    while (!this.stopped) {
      await this.world.pause(this.prng.exponential(60_000));
      if (!this.stopped && this.seen.length > 0) this.stray(this.prng.pick(this.seen));
    }
  }

  readonly name = null;

  stop(): void {
    this.stopped = true;
  }

  private stray(open: v1.IOpenHandle): void {
    const able = this.world.nodes.filter(({ replica, paused }) => replica !== null && !paused);
    if (able.length === 0) return;
    const node = this.prng.pick(able);
    const state = node.replica?.state;
    const session = state?.session(open.fence?.sessionId ?? 0);
    if (!state || !session) return;
    let fence: v1.IFence | null = null;
    if (session.takenOver) {
      this.situation("did not wait for the resolution");
      fence = {
        ...open.fence,
        epoch: session.epoch ?? 0,
        node: session.owner ?? "",
        nodeIncarnation: session.ownerIncarnation ?? 0,
      };
    } else if (open.fence?.epoch !== session.epoch) {
      this.situation("goes on under an old epoch");
      fence = open.fence ?? null;
    } else if (node.name !== session.owner) {
      this.situation("says that it is the owner");
      fence = {
        ...open.fence,
        node: node.name,
        nodeIncarnation: state.node(node.name)?.incarnation ?? 0,
      };
    }
    if (fence === null) return;
    const openHandle: v1.IOpenHandle = {
      fence,
      kind: v1.HandleKind.PLAIN,
      share: open.share ?? "",
      path: open.path ?? "",
      desiredAccess: ATTRIBUTES,
      shareMode: { read: true, write: true, delete: true },
      disposition: v1.Disposition.OPEN,
      observed: { ...open.observed, revision: node.replica?.appliedIndex ?? 0 },
      handleId: this.prng.bytes(16),
    };
    void node.coordinator?.execute({ openHandle });
  }

  private situation(what: string): void {
    this.world.sim.tally.situation(`stray file server ${what}`);
  }
}
