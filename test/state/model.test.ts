import assert from "node:assert/strict";
import fc from "fast-check";
import { v1 } from "../../src/wire/index.js";
import { describePrograms, type LockStep, shareModeOf, startAgain } from "./model/programs.js";
import { conflicts, forbids } from "./model/rules.js";
import { type Client, effectOf, guid, isParked, READ, World, WRITE } from "./harness.js";

/**
 * A sequential model of sessions, handles, share modes and byte-range locks, much simpler than the state machine: plain
 * lists, no indexes, no leases' timing, no records. Random programs run against both, with disconnects, failovers,
 * restarts from disk and repeats in between; what the model knows for certain has to be what the machine answers.
 */
interface ModelHandle {
  readonly id: Uint8Array;
  readonly createGuid: string;
  readonly owner: number;
  readonly path: string;
  readonly access: number;
  readonly share: number;
  locks: { offset: number; length: number; exclusive: boolean }[];
  connected: boolean;
  used: boolean;
}

interface ModelState {
  handles: ModelHandle[];
  readonly connected: boolean[];
  guids: number;
}

const PATHS = ["a", "b", "d/c"];
const CLIENTS = 3;
const NODES = ["n1", "n2", "n3"];
const { ErrorCode } = v1;

type Step =
  | { readonly op: "open"; client: number; path: number; access: number; share: number }
  | { readonly op: "replay" | "close" | "reconnect"; client: number; pick: number; repeat: boolean }
  | (LockStep & { repeat: boolean })
  | { readonly op: "disconnect" | "connect"; client: number }
  | { readonly op: "kill"; node: number }
  | { readonly op: "restart" };

const client = fc.integer({ min: 0, max: CLIENTS - 1 });
const pick = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant("open" as const),
      client,
      path: fc.nat(PATHS.length - 1),
      access: fc.constantFrom(READ, WRITE, READ | WRITE),
      share: fc.integer({ min: 0, max: 7 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constantFrom("lock" as const, "unlock" as const),
      client,
      pick,
      offset: fc.nat(6),
      length: fc.nat(4),
      exclusive: fc.boolean(),
      repeat: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom("replay" as const, "close" as const, "reconnect" as const),
      client,
      pick,
      repeat: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constantFrom("disconnect" as const, "connect" as const), client }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("kill" as const), node: fc.nat(NODES.length - 1) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("restart" as const) }) },
);

class Runner {
  readonly world = new World();
  readonly clients: Client[];
  readonly model: ModelState = {
    handles: [],
    connected: Array.from({ length: CLIENTS }, () => true),
    guids: 0,
  };
  readonly sequences = Array.from({ length: CLIENTS }, () => 0);

  constructor() {
    // All on one node each, so that locks need other nodes to enforce them too.
    this.clients = Array.from({ length: CLIENTS }, (_, i) =>
      this.world.client(`c${i}`, NODES[i % 2] ?? "n1"),
    );
  }

  step(one: Step): void {
    switch (one.op) {
      case "open":
        return this.open(one.client, PATHS[one.path] ?? "a", one.access, one.share);
      case "replay":
        return this.replay(one.client, one.pick);
      case "close":
        return this.close(one.client, one.pick, one.repeat);
      case "reconnect":
        return this.reconnect(one.client, one.pick);
      case "lock":
        return this.lock(one);
      case "unlock":
        return this.unlock(one);
      case "disconnect":
        if (!this.model.connected[one.client]) return;
        this.world.disconnect(this.at(one.client));
        return this.lost(one.client);
      case "connect":
        this.world.connect(this.at(one.client));
        this.lost(one.client);
        this.model.connected[one.client] = true;
        return;
      case "kill":
        return this.kill(NODES[one.node] ?? "n1");
      case "restart":
        return this.world.restart();
    }
  }

  at(number: number): Client {
    return this.clients[number] as Client;
  }

  lost(number: number): void {
    this.model.connected[number] = false;
    for (const handle of this.model.handles) if (handle.owner === number) handle.connected = false;
  }

  kill(node: string): void {
    const owned = this.clients.map((one) => this.world.session(one).owner === node);
    this.world.kill(node);
    startAgain(this.world, node);
    owned.forEach((hit, number) => {
      if (hit) this.lost(number);
    });
  }

  request(number: number): v1.IRequestId {
    const sequence = (this.sequences[number] ?? 0) + 1;
    this.sequences[number] = sequence;
    return { slot: 0, sequence };
  }

  open(number: number, path: string, access: number, share: number): void {
    if (!this.model.connected[number]) return;
    const createGuid = `guid${++this.model.guids}`;
    const request = this.request(number);
    const spec = { path, access, shareMode: shareModeOf(share), guid: createGuid, request };
    const result = this.world.open(this.at(number), spec);
    const others = this.model.handles.filter((handle) => handle.path === path);
    if (others.some((handle) => !handle.connected)) return this.expect(result, ErrorCode.FILE_NOT_AVAILABLE);
    if (others.some((handle) => conflicts(handle, { access, share })))
      return this.expect(result, ErrorCode.SHARING_VIOLATION);
    this.expect(result, 0);
    const id = result.open?.handle?.id ?? guid("");
    this.model.handles.push({
      id,
      createGuid,
      owner: number,
      path,
      access,
      share,
      locks: [],
      connected: true,
      used: false,
    });
    const again = this.world.open(this.at(number), spec);
    assert.equal(again.repeated, true);
    assert.equal(hex(again.open?.handle?.id), hex(id));
  }

  own(number: number, at: number): ModelHandle | undefined {
    const mine = this.model.handles.filter((handle) => handle.owner === number);
    return mine[at % Math.max(1, mine.length)];
  }

  replay(number: number, at: number): void {
    const handle = this.own(number, at);
    if (!handle || !this.model.connected[number]) return;
    const result = this.world.run(
      this.world.openCommand(this.at(number), {
        path: handle.path,
        guid: handle.createGuid,
        replay: true,
        access: handle.access,
      }),
    );
    assert.equal(effectOf(result), null);
    if (handle.used) return this.expect(result, ErrorCode.FILE_NOT_AVAILABLE);
    this.expect(result, 0);
    assert.equal(hex(result.open?.handle?.id), hex(handle.id));
    handle.connected = true;
  }

  reconnect(number: number, at: number): void {
    const handle = this.own(number, at);
    if (!handle || !this.model.connected[number]) return;
    const result = this.world.run({
      reconnectHandle: {
        fence: this.world.fence(this.at(number)),
        handleId: handle.id,
        createGuid: guid(handle.createGuid),
        persistent: true,
      },
    });
    if (handle.connected) return this.expect(result, ErrorCode.OBJECT_NAME_NOT_FOUND);
    this.expect(result, 0);
    handle.connected = true;
    handle.used = true;
  }

  close(number: number, at: number, repeat: boolean): void {
    const handle = this.own(number, at);
    if (!handle || !this.model.connected[number]) return;
    const result = this.world.close(this.at(number), { id: handle.id });
    if (!handle.connected) return this.expect(result, ErrorCode.FILE_CLOSED);
    this.expect(result, 0);
    this.model.handles = this.model.handles.filter((other) => other !== handle);
    if (repeat) assert.equal(this.world.close(this.at(number), { id: handle.id }).close?.repeated, true);
    const replay = this.world.open(this.at(number), {
      path: handle.path,
      guid: handle.createGuid,
      replay: true,
    });
    this.expect(replay, ErrorCode.FILE_CLOSED);
  }

  lock(one: LockStep & { repeat: boolean }): void {
    const handle = this.own(one.client, one.pick);
    if (!handle || !this.model.connected[one.client]) return;
    const wanted = { offset: one.offset, length: one.length, exclusive: one.exclusive };
    const command = this.world.lockCommand(
      this.at(one.client),
      { id: handle.id },
      [{ ...wanted, failImmediately: true }],
      { request: this.request(one.client) },
    );
    const result = this.prepared(this.world.run(command));
    if (!handle.connected) return this.expect(result, ErrorCode.FILE_CLOSED);
    handle.used = true;
    const blocked = this.model.handles.some(
      (other) =>
        other.path === handle.path && other.locks.some((held) => forbids(held, wanted, other === handle)),
    );
    if (blocked) return this.expect(result, ErrorCode.LOCK_NOT_GRANTED);
    this.expect(result, 0);
    handle.locks.push(wanted);
    if (one.repeat) assert.equal(this.world.run(command).repeated, true);
  }

  unlock(one: LockStep & { repeat: boolean }): void {
    const handle = this.own(one.client, one.pick);
    if (!handle || !this.model.connected[one.client]) return;
    const command = this.world.lockCommand(
      this.at(one.client),
      { id: handle.id },
      [{ offset: one.offset, length: one.length, unlock: true }],
      { request: this.request(one.client) },
    );
    const result = this.world.run(command);
    if (!handle.connected) return this.expect(result, ErrorCode.FILE_CLOSED);
    handle.used = true;
    const at = handle.locks.findIndex((held) => held.offset === one.offset && held.length === one.length);
    if (at < 0) return this.expect(result, ErrorCode.RANGE_NOT_LOCKED);
    this.expect(result, 0);
    handle.locks.splice(at, 1);
    if (one.repeat) assert.equal(this.world.run(command).repeated, true);
  }

  /** The other nodes enforce what was announced; then the answer is that of the event. */
  prepared(result: v1.ICommandResult): v1.ICommandResult {
    if (!isParked(result)) return result;
    for (const event of this.world.eventsOf("lock-prepare")) {
      const node = event.node ?? "";
      this.world.ok({
        lockPrepared: {
          node,
          nodeIncarnation: this.world.machine.node(node)?.incarnation ?? 0,
          pendingId: event.lockPrepare?.pendingId ?? 0,
        },
      });
      const done = this.world.eventsOf("pending-done")[0]?.pendingDone?.result;
      if (done) return done;
    }
    return result;
  }

  expect(result: v1.ICommandResult, code: number): void {
    assert.equal(v1.ErrorCode[result.error?.code ?? 0], v1.ErrorCode[code], result.error?.message ?? "");
    assert(!isParked(result), "parked");
  }

  /** What the two know has to agree. */
  check(): void {
    const { machine } = this.world;
    const counts = machine.counts();
    assert.equal(counts.handles, this.model.handles.length);
    for (const { name } of machine.nodes())
      assert.equal(machine.sessionCountOf(name ?? ""), [...machine.sessionsOf(name ?? "")].length);
    assert.equal(
      counts.locks,
      this.model.handles.reduce((sum, handle) => sum + handle.locks.length, 0),
    );
    assert.equal([...machine.pending()].length, 0);
    for (const handle of this.model.handles) {
      const record = machine.handle(handle.id);
      assert.equal(record?.connected, handle.connected);
      assert.equal(record?.locks?.length, handle.locks.length);
      assert.equal(record?.path, handle.path);
    }
  }
}

function hex(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}

describePrograms({
  title: "state against a sequential model",
  text: "random programs with failovers, restarts and repeats",
  step,
  runs: 150,
  sides: () => new Runner(),
});
