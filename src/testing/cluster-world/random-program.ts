import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Prng } from "../sim/prng.js";
import type { ClusterWorld } from "./cluster-world.js";

/**
 * A program that takes a random step after each random pause until it is stopped. Operating errors are part of its life: it
 * starts again from nothing. Everything else, and INTERNAL, is a bug of what is tested and gets out of `run`.
 */
export abstract class RandomProgram {
  abstract readonly name: string | null;
  private stopped = false;

  constructor(
    /** One of these on the average between two steps, microseconds: drawn once, when it runs. */
    private readonly meanPausesUs: readonly number[],
    protected readonly world: ClusterWorld,
    protected readonly prng: Prng,
  ) {}

  async run(): Promise<void> {
    const meanUs = this.prng.pick(this.meanPausesUs);
    while (!this.stopped) {
      await this.world.pause(this.prng.exponential(meanUs));
      if (this.stopped) return;
      try {
        await this.step();
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        if (error.code === ErrorCode.INTERNAL) throw error;
        await this.startOver();
      }
    }
  }

  /** No further step begins; one that is under way ends by itself. */
  stop(): void {
    this.stopped = true;
  }

  protected abstract step(): Promise<void>;

  /** Lets go of what it has in hand: nobody can say what became of the step that failed. */
  protected abstract startOver(): Promise<void>;
}
