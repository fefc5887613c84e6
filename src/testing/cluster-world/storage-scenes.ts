import { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import { Violation } from "../sim/simulation.js";
import type { ClusterNode } from "./cluster-node.js";
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
  const editing = edited(stage);
  await world.pause(prng.exponential(60_000));
  if (stage.stopped) return;
  new CrashPointFaults(world, prng).once();
  await editing;
  stage.played("owner killed while a file is edited");
}

/** Their calls have to end, as those of all clients. */
function edited(stage: Stage): Promise<void[]> {
  const { calls } = stage.world.population;
  return Promise.all(stage.editors().map((editor) => calls.follow(editor.name, editor.run(ROUNDS))));
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

/** An append whose write its owner's kernel keeps back, and the client that waits for it. */
interface HeldAppend {
  readonly client: SceneClient;
  readonly owner: ClusterNode;
  readonly path: string;
  readonly untilUs: number;
  readonly open: v1.IOpenRequest;
  readonly handle: v1.IHandleId;
  readonly request: v1.IRequestId;
}

/** Null when the scene ended meanwhile. */
async function heldAppend(stage: Stage, heldUs: number, failingSyncs = 0): Promise<HeldAppend | null> {
  const { world } = stage;
  const client = stage.client();
  await client.come();
  const path = `appended by ${client.protocol.identity.name}`;
  const asked = client.create(path, v1.Disposition.OPEN_IF);
  const { open } = await client.insist({ open: asked }, 0);
  const owner = client.owner();
  const handle = open?.handle;
  if (!handle || owner === undefined) return null;
  const held = { path, untilUs: world.sim.nowUs + heldUs, failingSyncs, count: 0 };
  owner.heldWrites = held;
  const request = client.request(0);
  void client.protocol.ask(append(handle), { request });
  while (!stage.stopped && owner.running && (held.count === 0 || held.failingSyncs > 0))
    await world.pause(AGAIN_US);
  owner.heldWrites = null;
  if (stage.stopped || !owner.running) return null;
  return { client, owner, path, untilUs: held.untilUs, open: asked, handle, request };
}

function append(handle: v1.IHandleId): v1.IFileRequest {
  return { write: { handle, append: true, data: Buffer.from("once") } };
}

/** The client sends its append again, and must find it done: once, and where it is told. */
async function appendedOnce(stage: Stage, held: HeldAppend, handle: v1.IHandleId): Promise<void> {
  const { client, path, request } = held;
  const { error, write } = await client.repeat(append(handle), request);
  const { read } = await client.insist({ read: { handle, offset: 0, length: 64 } }, 1);
  const found = Buffer.from(read?.data ?? []).toString("latin1");
  if (stage.stopped) return;
  if (error || found !== "once" || Number(write?.offset ?? 0) !== 0)
    throw new Violation(
      "exactly once",
      `${path}, sent again, left "${found}" and was answered ${JSON.stringify(error ?? write)}`,
    );
}

async function reconnected({ client, open, handle }: HeldAppend): Promise<v1.IHandleId | null> {
  client.protocol.leave();
  await client.come();
  const handleId = handle.persistent ?? null;
  const createGuid = open.createGuid ?? null;
  const again = await client.insist({ reconnect: { handleId, createGuid, persistent: true } }, 1);
  return again.open?.handle ?? null;
}

/**
 * The kernel of a dead node carries an append out after the heir has found nothing of it and taken it back. The client,
 * who sends it again, must find it done: nobody may see it twice.
 */
export async function lateWrite(stage: Stage): Promise<void> {
  const { world } = stage;
  const held = await heldAppend(stage, HELD_US);
  if (held === null) return;
  held.owner.crash(false);
  world.restartLater(held.owner);
  const handle = await reconnected(held);
  await world.pause(Math.max(1, held.untilUs + 100_000 - world.sim.nowUs));
  if (stage.stopped || handle === null) return;
  await appendedOnce(stage, held, handle);
  stage.played("append landed after it was taken back");
  await held.client.end();
}

/** An append is in the file, and its sync fails: nobody knows whether it will stay. Sent again, it must not stand there twice. */
export async function appendNotSynced(stage: Stage): Promise<void> {
  const { world, prng } = stage;
  const held = await heldAppend(stage, 0, 1);
  if (held === null) return;
  await world.pause(prng.exponential(200_000));
  if (stage.stopped) return;
  await appendedOnce(stage, held, held.handle);
  stage.played("append whose sync failed was sent again");
  await held.client.end();
}
