import { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import { Violation } from "../sim/simulation.js";
import type { SceneClient } from "./scene-client.js";
import type { Stage } from "./storage-scenes.js";

const SHARE = "ca";
const ROUNDS = 3;
const LOOK_US = 20_000;
/** A break that is not told by then, with nothing going wrong but one dead owner, is not told at all. */
const TOLD_US = 10_000_000;
const READ = 0x81;
const ALL = 0x10187;
const RH = 3;
const RWH = 7;
const D = v1.Disposition;

/** A client that caches the listing of a directory under a lease. */
class Cacher {
  private ended = 0;
  private listing = "";
  private asked: v1.IOpenRequest = {};
  private handle: v1.IHandleId | null = null;
  readonly key: Uint8Array;

  constructor(
    readonly client: SceneClient,
    private readonly directory: string,
  ) {
    this.key = client.prng.bytes(16);
    client.protocol.onNotice = ({ leaseBreak, closing }) => {
      // Its node serves the session no longer: what it has not told yet is told where the client comes back (seed 900040).
      if (closing) client.protocol.leave();
      if (!leaseBreak) return;
      this.ended++;
      if (leaseBreak.ackRequired)
        void client.protocol.ask({
          ackLease: { key: leaseBreak.key ?? null, state: leaseBreak.breakTo ?? 0 },
        });
    };
  }

  /** Opens the directory under the lease and keeps its listing. True when the lease was granted. */
  async cache(): Promise<boolean> {
    // More than a directory is given.
    const lease = { key: this.key, state: RWH, version: 2 };
    const create = this.client.create(this.directory, D.OPEN);
    this.asked = { ...create, share: SHARE, wantDirectory: true, desiredAccess: READ, lease };
    const { open } = await this.client.insist({ open: this.asked }, 0);
    this.handle = open?.handle ?? null;
    this.listing = await this.list();
    this.ended = 0;
    return (open?.lease?.state ?? 0) === RH;
  }

  async drop(): Promise<void> {
    if (this.handle !== null) await this.client.insist({ close: { handle: this.handle } }, 0);
    this.handle = null;
  }

  /** Comes back after its owner died, or was not heard for a while: a break that was kept for it is told then. */
  async back(): Promise<void> {
    const { client, asked, handle } = this;
    client.protocol.leave();
    await client.come();
    const { createGuid, lease } = asked;
    const reconnect = {
      handleId: handle?.persistent ?? null,
      createGuid: createGuid ?? null,
      lease: lease ?? null,
    };
    const { open } = await client.insist({ reconnect: { ...reconnect, persistent: true } }, 0);
    this.handle = open?.handle ?? null;
  }

  get told(): boolean {
    return this.ended > 0;
  }

  /** Whether a listing shows now what it showed when it was cached. */
  async isCurrent(): Promise<boolean> {
    return this.listing === (await this.list());
  }

  private async list(): Promise<string> {
    const { list, error } = await this.client.insist({ list: { share: SHARE, path: this.directory } }, 1);
    // Only the end of the scene lets such an answer through; it says nothing about the listing.
    return error ? this.listing : JSON.stringify(list?.entries ?? []);
  }
}

type Change = (client: SceneClient, directory: string, parentKey: Uint8Array) => Promise<unknown>;

/** Ways in which a listing becomes another, each by a client that knows of it because it makes it. */
const CHANGES: Readonly<Record<string, Change>> = {
  create: (client, at, parentKey) => held(client, `${at}/new`, D.OPEN_IF, parentKey),
  overwrite: (client, at, parentKey) => held(client, `${at}/old`, D.OVERWRITE, parentKey),
  "write and close": async (client, at, parentKey) => {
    const handle = await held(client, `${at}/old`, D.OPEN, parentKey);
    await client.insist({ write: { handle, offset: 0, data: new Uint8Array(20) } }, 0);
    await client.insist({ close: { handle } }, 0);
  },
  append: async (client, at, parentKey) => {
    const handle = await held(client, `${at}/old`, D.OPEN, parentKey);
    await client.insist({ write: { handle, append: true, data: new Uint8Array(5) } }, 0);
  },
  truncate: async (client, at, parentKey) => {
    const handle = await held(client, `${at}/old`, D.OPEN, parentKey);
    await client.insist({ setInfo: { handle, endOfFile: 2 } }, 0);
  },
  times: async (client, at, parentKey) => {
    const handle = await held(client, `${at}/old`, D.OPEN, parentKey);
    await client.insist({ setInfo: { handle, modifiedMs: 1_000 } }, 0);
  },
  rename: async (client, at, parentKey) => {
    const handle = await held(client, `${at}/old`, D.OPEN, parentKey);
    await client.insist({ rename: { handle, targetPath: `${at}/renamed` } }, 0);
  },
  link: async (client, at, parentKey) => {
    const handle = await held(client, `${at}/old`, D.OPEN, parentKey);
    await client.insist({ link: { handle, targetPath: `${at}/linked` } }, 0);
  },
  "delete on close": async (client, at, parentKey) => {
    const handle = await held(client, `${at}/old`, D.OPEN, parentKey, true);
    await client.insist({ close: { handle } }, 0);
  },
  "make a directory": (client, at, parentLeaseKey) =>
    client.insist({ makeDirectory: { share: SHARE, path: `${at}/made`, parentLeaseKey } }, 0),
  "remove by path": (client, at, parentLeaseKey) =>
    client.insist({ remove: { share: SHARE, path: `${at}/old`, parentLeaseKey } }, 0),
};

async function held(
  client: SceneClient,
  path: string,
  disposition: v1.Disposition,
  parentKey: Uint8Array,
  deleteOnClose = false,
): Promise<v1.IHandleId | null> {
  const lease = { key: client.prng.bytes(16), state: 1, version: 2, parentKey };
  const asked = {
    ...client.create(path, disposition),
    share: SHARE,
    desiredAccess: ALL,
    deleteOnClose,
    lease,
  };
  return (await client.insist({ open: asked }, 0)).open?.handle ?? null;
}

/**
 * Two clients cache the listing of one directory and change it in turn. The other one has to be told, also when its owner
 * dies or it is away at that moment; the one that made the change, and said so, must not be (semantics.md F3, C6).
 */
export async function directoryLeases(stage: Stage): Promise<void> {
  const { world } = stage;
  const prng = world.sim.seeds.stream(`directory leases ${world.sim.nowUs}`);
  const clients = [stage.client(), stage.client()];
  for (const client of clients) await client.come();
  for (let round = 0; round < ROUNDS && !stage.stopped; round++)
    await changeOnce(stage, prng, prng.shuffle(clients), `leased ${world.sim.nowUs}`);
  for (const client of clients) await client.end();
}

async function changeOnce(
  stage: Stage,
  prng: Prng,
  [actor, other]: readonly SceneClient[],
  directory: string,
): Promise<void> {
  const { world } = stage;
  if (actor === undefined || other === undefined) return;
  await actor.insist({ makeDirectory: { share: SHARE, path: directory } }, 0);
  const handle = await held(actor, `${directory}/old`, D.CREATE, new Uint8Array(0));
  await actor.insist({ write: { handle, offset: 0, data: new Uint8Array(10) } }, 0);
  await actor.insist({ close: { handle } }, 0);
  const [mine, others] = [new Cacher(actor, directory), new Cacher(other, directory)];
  if (!(await mine.cache()) || !(await others.cache()) || stage.stopped) return;
  const name = prng.pick(Object.keys(CHANGES));
  const absent = prng.chance(0.5);
  const owner = absent && prng.chance(0.5) ? other.owner() : undefined;
  if (absent) other.protocol.leave();
  if (owner !== undefined && world.hostile) {
    owner.crash(false);
    world.restartLater(owner);
  }
  await CHANGES[name]?.(actor, directory, mine.key);
  if (absent || !other.protocol.connected) await others.back();
  const untilUs = world.sim.nowUs + TOLD_US;
  while (!others.told && !stage.stopped && world.sim.nowUs < untilUs) {
    await world.pause(LOOK_US);
    if (!other.protocol.connected) await others.back();
  }
  if (stage.stopped) return;
  if (!others.told && !(await others.isCurrent()))
    throw new Violation(
      "directory lease",
      `${directory}: after "${name}" a listing is old, and its lease stands`,
    );
  if (mine.told)
    throw new Violation("directory lease", `${directory}: "${name}" ended its own client's lease`);
  if (others.told) {
    world.sim.tally.situation(`change in a leased directory: ${name}`);
    stage.played(`directory lease ended${absent ? ", its holder away" : ""}`);
  }
  for (const cacher of [mine, others]) await cacher.drop();
}
