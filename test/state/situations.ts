import type { Client, World } from "./harness.js";

/** How a client loses its server. After each of them the client comes back to whoever owns its session. */
export interface Situation {
  readonly name: string;
  readonly lose: (world: World, client: Client) => void;
}

function killOwner(world: World, client: Client): void {
  const node = world.session(client).owner ?? "";
  world.kill(node);
  // The process comes back at once as another incarnation, so that the next failover has somewhere to go.
  world.register(node, (world.machine.node(node)?.incarnation ?? 0) + 1);
}

/** The three situations in which each case is run. */
export const SITUATIONS: readonly Situation[] = [
  { name: "connection lost", lose: (world, client) => world.disconnect(client) },
  { name: "owner killed", lose: killOwner },
  {
    name: "owner and leader killed",
    lose: (world, client) => {
      killOwner(world, client);
      world.restart();
    },
  },
];

/** Registers a case once for each situation. */
export function inEachSituation(name: string, run: (lose: Situation["lose"]) => void): void {
  for (const situation of SITUATIONS) it(`${name}: ${situation.name}`, () => run(situation.lose));
}
