import { type ClientOptions, connectOver, type Session } from "../../client/index.js";
import type { ClientNetwork } from "../../client/transport-api.js";
import { setCrashHook } from "../../filenode/crash-points.js";
import { CallsEnd } from "../checkers/index.js";
import { SimClock, SimProcess } from "../sim/index.js";
import type { Prng } from "../sim/prng.js";
import { BurstClient } from "./burst-client.js";
import type { ClusterWorld } from "./cluster-world.js";
import { EditBoard } from "./edit-board.js";
import { EditClient } from "./edit-client.js";
import { CrashPointFaults } from "./crash-point-faults.js";
import { LockClient } from "./lock-client.js";
import { LockHistory } from "./lock-history.js";
import { OpenClient } from "./open-client.js";
import { OpenHistory } from "./open-history.js";
import { type Identity, ProtocolClient } from "./protocol-client.js";
import { Scenes } from "./scenes.js";
import { StrayServer } from "./stray-server.js";
import { WildClient } from "./wild-client.js";

/** Less than calls may take after the faults: an open waits for a handle whose editor has given up. */
const EDITED_KEPT_MS = 12_000;

/** Network places of these clients, apart from those of `ClusterClient`. */
const PLACE = 200;
/** Steps of the search after which a history counts as undecided. */
const STEPS_MAX = 300_000;

interface Member {
  /** Of a program over the client library, whose calls all end; null: it speaks the protocol, as it likes. */
  readonly name: string | null;
  run(): Promise<void>;
  stop(): void;
}

/** The clients of a cluster beside those that measure its liveness: lockers, openers, bursts, and wild ones. */
export class Population {
  private readonly members: Member[] = [];
  private readonly locks = new LockHistory();
  private readonly opens = new OpenHistory();
  private nextId = 1;
  /** Programs over the client library, those that measure liveness included. */
  readonly calls = new CallsEnd();
  linearizable = 0;
  gaveUp = 0;

  constructor(private readonly world: ClusterWorld) {}

  start(): void {
    if (this.world.scenes) this.members.push(new Scenes(this.world, this.world.sim.seeds.stream("scenes")));
    else this.draw();
    for (const member of this.members) {
      const program = member.name === null ? member.run() : this.calls.follow(member.name, member.run());
      program.catch((error: unknown) => this.world.fail(error));
    }
    if (this.world.scenes) return;
    const crashes = new CrashPointFaults(this.world, this.world.sim.seeds.stream("crash points"));
    crashes.start();
  }

  private draw(): void {
    const prng = this.world.sim.seeds.stream("population");
    const [wilds, lockers, bursts] = [prng.pick([0, 1, 2, 3]), prng.pick([0, 2, 3]), prng.pick([0, 0, 1])];
    for (let n = 0; n < wilds; n++) this.wild();
    for (let n = 0; n < lockers; n++) this.locker();
    for (let n = 0; n < bursts; n++) this.burst();
    if (prng.chance(0.5)) this.stray();
    this.openers();
    this.editors();
  }

  private wild(): void {
    const id = this.nextId++;
    const prng = this.world.sim.seeds.stream(`wild ${id}`);
    const timeoutMs = prng.pick([1_000, 2_500, 60_000]);
    const identity = { clientGuid: prng.bytes(16), name: `wild ${id}`, timeoutMs };
    const principal = prng.pick(["tester", "other"]);
    const client = this.protocolClient(id, principal, identity);
    this.members.push(new WildClient(id, this.world, client, prng, principal));
  }

  private locker(): void {
    const id = this.nextId++;
    const prng = this.world.sim.seeds.stream(`locker ${id}`);
    this.members.push(new LockClient(id, this.world, this.process(id), prng, "demo:/ranges", this.locks));
  }

  private burst(): void {
    const id = this.nextId++;
    const prng = this.world.sim.seeds.stream(`burst ${id}`);
    this.members.push(new BurstClient(id, this.world, this.process(id), prng));
  }

  /** Drawn from a stream of their own: a seed that has none goes the way it went before there were any. */
  private openers(): void {
    const draw = this.world.sim.seeds.stream("openers");
    const count = draw.pick([0, 0, 2, 3, 4]);
    const files = ["demo:/opens-1", "demo:/opens-2", "demo:/opens-3"].slice(0, draw.between(1, 3));
    const present = new Set<string>();
    for (let n = 0; n < count; n++) {
      const id = this.nextId++;
      const prng = this.world.sim.seeds.stream(`opener ${id}`);
      const client = new OpenClient(id, this.world, this.process(id), prng, files, this.opens, present);
      this.members.push(client);
    }
  }

  /** As for openers: seeds without any go the way they went before. */
  private editors(): void {
    const draw = this.world.sim.seeds.stream("editors");
    if (!draw.chance(0.3)) return;
    this.members.push(...this.editGroup("edited", draw.between(2, 3), draw));
  }

  /** Clients that change small files together, some of them at the same node. */
  editGroup(name: string, count: number, prng: Prng): readonly EditClient[] {
    const { world } = this;
    const board = new EditBoard(name, count, prng);
    const together = prng.shuffle(world.addresses);
    return Array.from({ length: count }, (_, rank) => {
      const id = this.nextId++;
      const own = world.sim.seeds.stream(`editor ${id}`);
      const nodes = prng.chance(0.6) ? together : prng.shuffle(world.addresses);
      return new EditClient(id, world, this.process(id), own, board, rank, count - 1, nodes, EDITED_KEPT_MS);
    });
  }

  private stray(): void {
    const server = new StrayServer(this.world, this.world.sim.seeds.stream("stray server"));
    this.world.oracle.add(server);
    this.members.push(server);
  }

  /** They walk away: what is checked after the faults is the cluster, not their patience. */
  stop(): void {
    for (const member of this.members) member.stop();
  }

  /** Nothing of this world reaches into the next one. */
  end(): void {
    setCrashHook(null);
  }

  /** What the clients saw, together. */
  check(): void {
    this.checkOpens();
    if (this.locks.operations.length === 0) return;
    if (this.locks.check(STEPS_MAX)) this.linearizable++;
    else this.gaveUp++;
  }

  private checkOpens(): void {
    const { linearizable, gaveUp } = this.opens.check(STEPS_MAX);
    this.linearizable += linearizable;
    this.gaveUp += gaveUp;
  }

  /** Places of these clients, for partitions. */
  places(): number[] {
    return this.members.map((_, i) => PLACE + i + 1);
  }

  network(id: number, process: SimProcess, principal = "tester"): ClientNetwork {
    return this.world.streams.clientNetwork(PLACE + id, process, principal);
  }

  /** A session of the client library, from a program's own place in the network. */
  connect(
    id: number,
    process: SimProcess,
    options: Pick<ClientOptions, "nodes" | "clientName" | "deadlineMs" | "sessionTimeoutMs">,
  ): Promise<Session> {
    return connectOver(this.network(id, process), process.runtime(), { ...options, witness: false });
  }

  private process(id: number): SimProcess {
    const { sim } = this.world;
    return new SimProcess(sim, new SimClock(sim, 1, 9_000), sim.seeds.stream(`member process ${id}`));
  }

  /** A client of its own at the place of another one. */
  protocolClient(id: number, principal: string, identity: Identity): ProtocolClient {
    const { sim, addresses } = this.world;
    const process = this.process(id);
    const prng = sim.seeds.stream(`protocol ${id} ${sim.nowUs}`);
    return new ProtocolClient(sim, this.network(id, process, principal), prng, addresses, identity);
  }
}
