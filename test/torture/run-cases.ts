import { TortureWorld } from "./world.js";
import { failOver, type Situation } from "./failover.js";

/** One named case: it prepares, awaits `lose`, and looks at what is left. */
export interface Case {
  readonly name: string;
  readonly run: (world: TortureWorld, lose: () => Promise<void>) => Promise<void>;
}

/**
 * Runs all cases side by side in one cluster: they meet before the failover, which then happens to all of them. Each has
 * files and clients of its own. Resolves with what went wrong in each, null for nothing.
 */
export async function runCases(
  cases: readonly Case[],
  situation: Situation,
  failovers: number,
  seed: number,
): Promise<Map<string, unknown>> {
  const world = new TortureWorld(seed);
  const results = new Map<string, unknown>();
  await world.drive(
    (async () => {
      await world.start();
      let unready = cases.length;
      let release: (failure: unknown) => void = () => undefined;
      const failedOver = new Promise<unknown>((resolve) => {
        release = resolve;
      });
      const runs = cases.map(async ({ name, run }) => {
        let met = false;
        const meet = (): void => {
          if (!met) unready -= 1;
          met = true;
        };
        try {
          await run(world, async () => {
            meet();
            const failure = await failedOver;
            if (failure !== null) throw failure;
          });
          results.set(name, met ? null : new Error("the case saw no failover"));
        } catch (error) {
          results.set(name, error);
        }
        meet();
      });
      // What a case waits for may never come: the failover happens all the same, and the case is told apart by its error.
      await world.until("every case is prepared", () => unready === 0).catch(() => undefined);
      await world.cordonAnchor();
      release(
        await failOver(world, situation, failovers).then(
          () => null,
          (error: unknown) => error,
        ),
      );
      let ended = false;
      void Promise.all(runs).then(() => {
        ended = true;
      });
      await world.until("every case has ended", () => ended, 200_000).catch(() => undefined);
    })(),
  );
  return results;
}
