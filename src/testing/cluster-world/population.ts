import type { ClientNetwork } from "../../client/transport-api.js";
import { SimClock, SimProcess } from "../sim/index.js";
import type { ClusterWorld } from "./cluster-world.js";
import { type Identity, ProtocolClient } from "./protocol-client.js";
import { WildClient } from "./wild-client.js";

/** Network places of clients that are no library clients, apart from those. */
const WILD_PLACE = 200;

/** The clients of a cluster beside those of the library. */
export class Population {
  private readonly wilds: WildClient[] = [];

  constructor(private readonly world: ClusterWorld) {}

  start(): void {
    const { world } = this;
    const { seeds } = world.sim;
    const prng = seeds.stream("population");
    const wilds = prng.pick([0, 1, 2, 3]);
    for (let id = 1; id <= wilds; id++) {
      const own = seeds.stream(`wild ${id}`);
      const identity = {
        clientGuid: own.bytes(16),
        name: `wild ${id}`,
        timeoutMs: own.pick([1_000, 2_500, 60_000]),
      };
      const principal = own.pick(["tester", "other"]);
      const client = this.protocolClient(id, principal, identity);
      const wild = new WildClient(id, world, client, own, principal);
      this.wilds.push(wild);
      wild.run().catch((error: unknown) => world.fail(error));
    }
  }

  /** They walk away: what is checked after the faults is the cluster, not their patience. */
  stop(): void {
    for (const wild of this.wilds) wild.stop();
  }

  /** A client of its own at the place of another one. */
  protocolClient(id: number, principal: string, identity: Identity): ProtocolClient {
    const { sim, streams, addresses } = this.world;
    const prng = sim.seeds.stream(`protocol ${id} ${sim.nowUs}`);
    const process = new SimProcess(sim, new SimClock(sim, 1, 9_000), prng);
    const network: ClientNetwork = streams.clientNetwork(WILD_PLACE + id, process, principal);
    return new ProtocolClient(sim, network, prng, addresses, identity);
  }
}
