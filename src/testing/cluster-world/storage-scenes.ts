import { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import { Violation } from "../sim/simulation.js";
import type { ClusterWorld } from "./cluster-world.js";
import { CrashPointFaults } from "./crash-point-faults.js";
import type { EditClient } from "./edit-client.js";
import type { SceneClient } from "./scene-client.js";

const ROUNDS = 4;
const AGAIN_US = 20_000;
/** Longer than it takes until the session is elsewhere and what its owner left pending is resolved. */
const HELD_US = 8_000_000;

/** What a scene may use. */
export interface Stage {
  readonly world: ClusterWorld;
  readonly prng: Prng;
  readonly stopped: boolean;
  client(): SceneClient;
  /** Three clients that change files together. */
  editors(): readonly EditClient[];
  played(what: string): void;
}

/** A node dies between two steps of an operation, while clients of it and of others write where files are cut. */
export async function ownerDiesBesideEdits(stage: Stage): Promise<void> {
  const { world, prng } = stage;
  const editing = Promise.all(stage.editors().map((editor) => editor.run(ROUNDS)));
  await world.pause(prng.exponential(60_000));
  if (stage.stopped) return;
  new CrashPointFaults(world, prng).once();
  await editing;
  stage.played("owner killed while a file is edited");
}

/** A disk is full at once, has space again, and its node is killed: what it acknowledged has to be on it. */
export async function diskRunsFull(stage: Stage): Promise<void> {
  const { world, prng } = stage;
  const node = prng.pick(world.nodes);
  const declared = async (full: boolean): Promise<void> => {
    while (!stage.stopped && node.guard?.full !== full) await world.pause(AGAIN_US);
  };
  node.disk.space.fill(0);
  await declared(true);
  await world.pause(prng.exponential(300_000));
  node.disk.space.empty();
  await declared(false);
  await world.pause(prng.exponential(100_000));
  if (stage.stopped) return;
  node.crash(false);
  world.restartLater(node);
  stage.played("killed after its disk was full");
}

/**
 * The kernel of a dead node carries an append out after the heir has found nothing of it and taken it back. The client,
 * who sends it again, must find it done: nobody may see it twice.
 */
export async function lateWrite(stage: Stage): Promise<void> {
  const { world } = stage;
  const client = stage.client();
  await client.come();
  const path = `late ${client.protocol.identity.name}`;
  const asked = client.create(path, v1.Disposition.OPEN_IF);
  const { open } = await client.insist({ open: asked }, 0);
  const owner = client.owner();
  if (!open?.handle || owner === undefined) return;
  const held = { path, untilUs: world.sim.nowUs + HELD_US, count: 0 };
  owner.heldWrites = held;
  const append = (handle: v1.IHandleId): v1.IFileRequest => ({
    write: { handle, append: true, data: Buffer.from("once") },
  });
  const request = client.request(0);
  void client.protocol.ask(append(open.handle), { request });
  while (!stage.stopped && owner.running && held.count === 0) await world.pause(AGAIN_US);
  owner.heldWrites = null;
  if (stage.stopped || !owner.running) return;
  owner.crash(false);
  world.restartLater(owner);
  client.protocol.leave();
  await client.come();
  const reconnect = {
    handleId: open.handle.persistent ?? null,
    createGuid: asked.createGuid ?? null,
    persistent: true,
  };
  const again = await client.insist({ reconnect }, 1);
  const handle = again.open?.handle;
  await world.pause(Math.max(1, held.untilUs + 100_000 - world.sim.nowUs));
  if (stage.stopped || !handle) return;
  const { error, write } = await client.repeat(append(handle), request);
  const { read } = await client.insist({ read: { handle, offset: 0, length: 64 } }, 1);
  const found = Buffer.from(read?.data ?? []).toString("latin1");
  if (stage.stopped) return;
  if (error || found !== "once" || Number(write?.offset ?? 0) !== 0)
    throw new Violation(
      "exactly once",
      `an append to ${path} that landed late and was sent again left "${found}": ${JSON.stringify(error ?? write)}`,
    );
  stage.played("append landed after it was taken back");
  await client.end();
}
