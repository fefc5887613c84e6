import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import { Violation } from "../sim/simulation.js";
import type { ClusterNode } from "./cluster-node.js";
import type { ClusterSettings } from "./cluster-settings.js";
import type { ClusterWorld } from "./cluster-world.js";
import { directoryLeases } from "./directory-scene.js";
import type { EditClient } from "./edit-client.js";
import {
  appendNotSynced,
  diskRunsFull,
  lateWrite,
  ownerDiesBesideEdits,
  type Stage,
} from "./storage-scenes.js";
import { SceneClient } from "./scene-client.js";

const SECOND_US = 1_000_000;
const CALLS_AT_ONCE = 8;
const D = v1.Disposition;

/** A cluster on which nothing goes wrong but what the scene does: what is late then is late for good. */
export function calm(drawn: ClusterSettings): ClusterSettings {
  const quiet = Object.entries(drawn).map(([name, value]) => [name, name.endsWith("PerSecond") ? 0 : value]);
  return {
    ...(Object.fromEntries(quiet) as ClusterSettings),
    nodes: 3,
    clients: 1,
    opsPerSecond: 10,
    lossRate: 0,
    refuseRate: 0,
    kv: { ...drawn.kv, stallRate: 0, syncErrorRate: 0 },
    safetyUs: 30 * SECOND_US,
  };
}

/**
 * Situations that chance reaches too seldom, played on purpose, one after the other: a client, and the fault that hurts
 * it most at the moment at which it does.
 */
export class Scenes implements Stage {
  readonly name = null;
  stopped = false;
  private clients = 0;
  private editing: readonly EditClient[] = [];

  constructor(
    readonly world: ClusterWorld,
    readonly prng: Prng,
  ) {}

  /** Plays scenes until it is stopped. */
  async run(): Promise<void> {
    const scenes = [
      () => this.ownerStopped(),
      () => this.ownerKilled(),
      () => this.applications(),
      () => this.nearTheDeadline(),
      () => ownerDiesBesideEdits(this),
      () => diskRunsFull(this),
      () => lateWrite(this),
      () => appendNotSynced(this),
    ];
    let order: typeof scenes = [];
    while (!this.stopped) {
      // Last, and with chance of its own: the others go as they went before it was there.
      if (order.length === 0) order = [() => directoryLeases(this), ...this.prng.shuffle(scenes)];
      await this.allServe();
      await order.pop()?.();
    }
  }

  stop(): void {
    this.stopped = true;
    for (const editor of this.editing) editor.stop();
  }

  editors(): readonly EditClient[] {
    this.editing = this.world.population.editGroup(`scene-${++this.clients}`, 3, this.prng);
    return this.editing;
  }

  client(): SceneClient {
    const id = ++this.clients;
    return new SceneClient(this.world, id, this.world.sim.seeds.stream(`scene client ${id}`));
  }

  played(what: string): void {
    this.world.sim.tally.situation(`scene: ${what}`);
  }

  private async allServe(): Promise<void> {
    const serves = ({ lease }: ClusterNode): boolean => (lease?.leftMs() ?? 0) > 0;
    while (!this.stopped && !this.world.nodes.every(serves)) await this.world.pause(50_000);
  }

  /** An owner is stopped beyond its lease while it serves; when it goes on, another one has served for a while. */
  private async ownerStopped(): Promise<void> {
    const { world, prng } = this;
    const client = this.client();
    await client.come();
    const { protocol } = client;
    const { open } = await client.insist({ open: client.create(`stopped ${this.clients}`, D.OPEN_IF) }, 0);
    const owner = client.owner();
    if (!open?.handle || owner === undefined) return;
    for (let n = 0; n < CALLS_AT_ONCE; n++) void this.ask(client, open.handle, n);
    await world.pause(prng.exponential(50_000));
    if (!world.hostile) return;
    const { life } = owner;
    owner.pause(true);
    const goesOnUs = world.sim.nowUs + prng.between(25, 50) * 100_000;
    protocol.leave();
    await client.come();
    const answer = await client.insist({ list: { share: "demo", path: "" } }, 0);
    if (!answer.error) this.played("served by another while its owner was stopped");
    await world.pause(Math.max(1, goesOnUs - world.sim.nowUs));
    if (owner.life === life) owner.pause(false);
    await world.pause(200_000);
    await client.end();
  }

  /** Reads and writes, one after the other, as long as the connection lives. */
  private async ask({ protocol }: SceneClient, handle: v1.IHandleId, place: number): Promise<void> {
    const where = { handle, offset: place * 4 };
    const data = new Uint8Array(4).fill(65 + place);
    while (!this.stopped) {
      const body = place % 2 === 0 ? { read: { ...where, length: 4 } } : { write: { ...where, data } };
      if ((await protocol.ask(body)).error) return;
    }
  }

  /** An owner dies while it creates files that nobody else has a name for; each call, sent again, has to succeed. */
  private async ownerKilled(): Promise<void> {
    const { world, prng } = this;
    const client = this.client();
    await client.come();
    const owner = client.owner();
    const { name } = client.protocol.identity;
    const paths = Array.from({ length: CALLS_AT_ONCE }, (_, n) => `${name} ${n}`);
    const answers = paths.map((path, n) => client.insist({ open: client.create(path, D.CREATE) }, n + 1));
    await world.pause(prng.exponential(prng.pick([1_000, 5_000, 20_000])));
    if (owner !== undefined && world.hostile) {
      owner.crash(false);
      world.restartLater(owner);
      this.played("owner killed while it creates files");
    }
    for (const { error } of await Promise.all(answers))
      if (error?.code === ErrorCode.OBJECT_NAME_COLLISION)
        throw new Violation(
          "exactly once",
          `${name} created a file, and its own create met it: ${error.message}`,
        );
    await client.end();
  }

  /** Two instances of one application open a file; only a newer one may take it over (semantics.md D3). */
  private async applications(): Promise<void> {
    const { prng } = this;
    const path = `application ${this.clients}`;
    const id = new Uint8Array(16).fill(0xb0 + this.clients);
    const clients = [this.client(), this.client()];
    const versions: number[] = [];
    for (const client of clients) {
      await client.come();
      const [versionHigh, versionLow] = [prng.below(2), prng.below(3)];
      versions.push(versionHigh * 10 + versionLow);
      const appInstance = { id, hasVersion: true, versionHigh, versionLow };
      const { error } = await client.insist({ open: { ...client.create(path, D.OPEN_IF), appInstance } }, 0);
      if (versions.length === 1 && error) break;
      if (versions.length === 1) continue;
      const newer = (versions[1] ?? 0) > (versions[0] ?? 0);
      this.played(`${newer ? "newer" : "older"} application ${error ? "refused" : "let in"}`);
      if (!newer && !error)
        throw new Violation(
          "application takeover",
          `version ${versions[1]} took ${path} from ${versions[0]}`,
        );
    }
    for (const client of clients) await client.end();
  }

  /** A client takes its handle up again shortly before it may expire, at times while nothing can be committed. */
  private async nearTheDeadline(): Promise<void> {
    const { world, prng } = this;
    const client = this.client();
    const timeoutMs = prng.pick([1_000, 2_000]);
    await client.come();
    const asked = client.create(`deadline ${this.clients}`, D.OPEN_IF, timeoutMs);
    const { open } = await client.insist({ open: asked }, 0);
    if (!open?.handle) return;
    const leftUs = world.sim.nowUs;
    client.protocol.leave();
    await world.pause(100_000);
    await client.come();
    const deadlineUs = leftUs + (open.timeoutMs ?? timeoutMs) * 1000;
    const slow = prng.chance(0.6);
    await world.pause(Math.max(1, deadlineUs - prng.between(20, 200) * 1000 - world.sim.nowUs));
    if (slow && world.hostile)
      for (const { disk } of world.nodes) disk.hungUntilUs = deadlineUs + prng.between(10, 300) * 1000;
    const inTime = world.sim.nowUs < leftUs + (deadlineUs - leftUs) * 0.98;
    const { handleId, createGuid } = {
      handleId: open.handle.persistent ?? null,
      createGuid: asked.createGuid ?? null,
    };
    const { error } = await client.protocol.ask({ reconnect: { handleId, createGuid, persistent: true } });
    this.played(`handle taken up near its deadline: ${error ? ErrorCode[error.code ?? 0] : "done"}`);
    if (error?.code === ErrorCode.OBJECT_NAME_NOT_FOUND && inTime && !slow)
      throw new Violation(
        "never expired early",
        `a handle is gone before its ${timeoutMs} ms: ${error.message}`,
      );
    await client.end();
  }
}
