import assert from "node:assert/strict";
import fc from "fast-check";
import { v1 } from "../../src/wire/index.js";
import { type Client, effectOf, guid, READ, World, WRITE } from "./harness.js";
import { LeaseBook, type ModelLease } from "./model/lease-book.js";
import {
  type Answer,
  describePrograms,
  leaseKeyOf,
  sameAnswer,
  sameLease,
  startAgain,
} from "./model/programs.js";
import { changesData, changesListing, H, readsData, STATES } from "./model/rules.js";

/**
 * A sequential model of leases (semantics.md F3, C5, C6): grants, upgrades, breaks with and without waiting, lowered
 * targets, acknowledgements of any part, breaks that are stored while the holder is away, of files and of the directory that
 * they lie in, whose leases end with what its listing shows. Plain lists and the prose of the
 * rules, none of the tables. Random programs run against it and the state machine, with disconnects, failovers and
 * restarts in between: answers, who waits, who is let go in which order, states and epochs have to agree after each step.
 */
interface ModelHandle {
  readonly id: string;
  readonly client: number;
  readonly path: string;
  readonly lease: ModelLease | null;
  readonly data: true;
  readonly locked: false;
  connected: boolean;
  /** Its client has done something with it, so it may have written. */
  used: boolean;
}

interface Waiter {
  readonly pendingId: number;
  readonly client: number;
  readonly path: string;
  readonly attempt: () => Answer;
}

const DIRECTORY = "d";
/** A file in the directory, one beside it, and the directory. */
const PATHS = ["d/a", "b", DIRECTORY];
const CLIENTS = 3;
const NODES = ["n1", "n2", "n3"];
const { ErrorCode } = v1;

type Step =
  | { readonly op: "open"; client: number; path: number; key: number; asked: number; parent: number }
  | { readonly op: "create"; client: number; key: number; asked: number; parent: number }
  | { readonly op: "mkdir"; client: number; parent: number }
  | { readonly op: "write" | "close" | "reconnect"; client: number; pick: number }
  | { readonly op: "ack"; client: number; path: number; key: number; state: number }
  | { readonly op: "disconnect" | "connect"; client: number }
  | { readonly op: "kill"; node: number }
  | { readonly op: "restart" };

const client = fc.nat(CLIENTS - 1);
const path = fc.nat(PATHS.length - 1);
/** Lease key: none, or one of two. */
const key = fc.nat(2);
const asked = fc.nat(7);
/** The lease of the directory that a call names as its client's: none, or under one of the two keys. */
const parent = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant("open" as const),
      client,
      path,
      key,
      asked,
      parent,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant("create" as const), client, key, asked, parent }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("mkdir" as const), client, parent }) },
  {
    weight: 7,
    arbitrary: fc.record({ op: fc.constant("ack" as const), client, path, key, state: fc.nat(7) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constantFrom("write" as const, "close" as const, "reconnect" as const),
      client,
      pick: fc.nat(20),
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
  readonly connected = Array.from({ length: CLIENTS }, () => true);
  handles: ModelHandle[] = [];
  readonly book = new LeaseBook(() => this.handles, DIRECTORY);
  waiters: Waiter[] = [];
  private opens = 0;

  constructor() {
    for (const name of PATHS) this.world.file(name, name === DIRECTORY);
    this.clients = Array.from({ length: CLIENTS }, (_, i) =>
      this.world.client(`c${i}`, NODES[i % 2] ?? "n1"),
    );
  }

  step(one: Step): void {
    switch (one.op) {
      case "open":
        return this.open(one);
      case "create":
        return this.create(one);
      case "mkdir":
        return this.mkdir(one);
      case "write":
        return this.write(one.client, one.pick);
      case "close":
        return this.close(one.client, one.pick);
      case "reconnect":
        return this.reconnect(one.client, one.pick);
      case "ack":
        return this.ack(one);
      case "disconnect":
        if (!this.connected[one.client] || this.waits(one.client)) return;
        this.world.disconnect(this.at(one.client));
        return this.lost(one.client);
      case "connect":
        if (this.waits(one.client)) return;
        this.world.connect(this.at(one.client));
        this.lost(one.client);
        this.connected[one.client] = true;
        return;
      case "kill":
        return this.kill(NODES[one.node] ?? "n1");
      case "restart":
        return this.world.restart();
    }
  }

  private at(number: number): Client {
    return this.clients[number] as Client;
  }

  /** What becomes of calls whose client leaves is another model's. */
  private waits(number: number): boolean {
    return this.waiters.some((waiter) => waiter.client === number);
  }

  private lost(number: number): void {
    this.connected[number] = false;
    for (const handle of this.handles) if (handle.client === number) handle.connected = false;
  }

  private kill(node: string): void {
    const hit = this.clients.map((one) => this.world.session(one).owner === node);
    if (hit.some((is, number) => is && this.waits(number))) return;
    this.world.kill(node);
    startAgain(this.world, node);
    hit.forEach((is, number) => {
      if (is) this.lost(number);
    });
  }

  private add(id: string, client: number, path: string, lease: ModelLease | null): void {
    this.handles.push({ id, client, path, lease, data: true, locked: false, connected: true, used: false });
  }

  private open(one: Step & { op: "open" }): void {
    if (!this.connected[one.client] || this.waits(one.client)) return;
    const where = PATHS[one.path] ?? "";
    const key = leaseKeyOf(one);
    const parent = this.parentOf(one);
    const { id, command } = this.openCommand(one, where, v1.Disposition.OPEN);
    const result = this.world.run(command);
    const attempt = (): Answer => {
      const others = this.handles.filter((handle) => handle.path === where);
      // A holder that is away and cannot be asked to share closes the file to everybody.
      const shut = others.some(({ connected, lease }) => !connected && ((lease?.state ?? 0) & H) === 0);
      if (shut) return ErrorCode.FILE_NOT_AVAILABLE;
      const mustWait = this.book.breakOthers(where, one.client, key, readsData);
      if (mustWait) return "wait";
      const lease = key === "" ? null : this.book.grant(one.client, key, where, one.asked, parent);
      this.add(id, one.client, where, lease);
      return "done";
    };
    this.begin(one.client, where, attempt, result, result.open?.pendingId ?? 0);
    if (this.handles.some((handle) => handle.id === id)) this.letGo(where);
  }

  private openCommand(
    one: { client: number; path?: number; key: number; asked: number; parent: number },
    where: string,
    disposition: v1.Disposition,
  ): { id: string; command: v1.ICommand } {
    const key = one.path === undefined ? this.newKey(one.key) : leaseKeyOf({ ...one, path: one.path });
    const id = `h${++this.opens}`;
    const parent = this.parentOf(one);
    const command = this.world.openCommand(this.at(one.client), {
      id,
      path: where,
      guid: `g${this.opens}`,
      access: READ | WRITE,
      disposition,
      ...(key === ""
        ? {}
        : { leaseKey: key, lease: one.asked, ...(parent === "" ? {} : { parentKey: parent }) }),
    });
    return { id, command };
  }

  /** For a file that nobody has had yet. */
  private newKey(key: number): string {
    return key === 0 ? "" : `new${this.opens + 1}`;
  }

  private parentOf({ client, parent }: { client: number; parent: number }): string {
    return leaseKeyOf({ client, path: PATHS.indexOf(DIRECTORY), key: parent });
  }

  /** A file of its own in the directory: nobody is in its way, and all who list the directory hear of it. */
  private create(one: Step & { op: "create" }): void {
    if (!this.connected[one.client] || this.waits(one.client)) return;
    const key = this.newKey(one.key);
    const where = `${DIRECTORY}/n${this.opens + 1}`;
    const { id, command } = this.openCommand(one, where, v1.Disposition.CREATE);
    const result = this.world.run(command);
    assert.notEqual(effectOf(result), null, result.error?.message ?? "");
    sameAnswer("done", this.world.perform(result));
    const parent = this.parentOf(one);
    const lease = key === "" ? null : this.book.grant(one.client, key, where, one.asked, parent);
    this.add(id, one.client, where, lease);
    // A lease that was not granted names its parent all the same; without a request there is nothing that could.
    this.listed(where, one.client, key === "" ? "" : parent);
    this.letGo(where);
  }

  private mkdir(one: Step & { op: "mkdir" }): void {
    if (!this.connected[one.client] || this.waits(one.client)) return;
    const where = `${DIRECTORY}/m${++this.opens}`;
    const parent = this.parentOf(one);
    const result = this.world.run({
      beginEffect: {
        fence: this.world.fence(this.at(one.client)),
        effect: {
          kind: v1.EffectKind.EFFECT_MKDIR,
          share: "ca",
          path: where,
          directory: true,
          parentKey: parent === "" ? null : guid(parent),
        },
      },
    });
    sameAnswer("done", this.world.perform(result));
    this.listed(where, one.client, parent);
    this.letGo(where);
  }

  /** What a listing shows of this path is another now: leases of its directory end, but the one that the actor names. */
  private listed(where: string, number: number, parent: string): void {
    if (!where.startsWith(`${DIRECTORY}/`)) return;
    this.book.breakOthers(DIRECTORY, number, parent, changesListing);
  }

  private write(number: number, pick: number): void {
    const handle = this.own(number, pick);
    if (!handle || !this.connected[number] || this.waits(number)) return;
    const result = this.world.run({
      breakLeases: {
        fence: this.world.fence(this.at(number)),
        handleId: guid(handle.id),
        operation: "write",
      },
    });
    if (handle.connected) handle.used = true;
    const attempt = (): Answer => {
      if (!handle.connected) return ErrorCode.FILE_CLOSED;
      const mustWait = this.book.breakOthers(handle.path, number, handle.lease?.key ?? "", changesData);
      if (mustWait) return "wait";
      this.listed(handle.path, number, handle.lease?.parent ?? "");
      return "done";
    };
    this.begin(number, handle.path, attempt, result, result.effect?.pendingId ?? 0);
  }

  private begin(
    number: number,
    where: string,
    attempt: () => Answer,
    result: v1.ICommandResult,
    pendingId: number,
  ): void {
    const answer = attempt();
    sameAnswer(answer, result);
    if (answer === "wait") this.waiters.push({ pendingId, client: number, path: where, attempt });
  }

  private ack(one: Step & { op: "ack" }): void {
    if (!this.connected[one.client] || one.key === 0) return;
    const key = leaseKeyOf(one);
    const result = this.world.ack(this.at(one.client), key, one.state);
    const lease = this.book.of(one.client, key);
    if (lease === undefined) return sameAnswer(ErrorCode.OBJECT_NAME_NOT_FOUND, result);
    const { breaking } = lease;
    if (breaking === null || breaking.stored) return sameAnswer(ErrorCode.UNSUCCESSFUL, result);
    if (!STATES.includes(one.state) || (one.state & ~breaking.told) !== 0)
      return sameAnswer(ErrorCode.REQUEST_NOT_ACCEPTED, result);
    sameAnswer("done", result);
    for (const handle of this.handles) if (handle.lease === lease) handle.used = true;
    this.book.acknowledged(lease, one.state);
    this.letGo(lease.path);
  }

  private own(number: number, pick: number): ModelHandle | undefined {
    const mine = this.handles.filter((handle) => handle.client === number);
    return mine[pick % Math.max(1, mine.length)];
  }

  private close(number: number, pick: number): void {
    const handle = this.own(number, pick);
    if (!handle || !this.connected[number] || this.waits(number)) return;
    const result = this.world.close(this.at(number), { id: guid(handle.id) });
    if (!handle.connected) return sameAnswer(ErrorCode.FILE_CLOSED, result);
    sameAnswer("done", result);
    this.handles = this.handles.filter((other) => other !== handle);
    const { lease } = handle;
    if (handle.used && handle.path !== DIRECTORY) this.listed(handle.path, number, lease?.parent ?? "");
    this.book.left(lease);
    this.letGo(handle.path);
  }

  private reconnect(number: number, pick: number): void {
    const handle = this.own(number, pick);
    if (!handle || !this.connected[number]) return;
    const record = this.world.handle({ id: guid(handle.id) });
    const result = this.world.reconnect(this.at(number), record);
    if (handle.connected) return sameAnswer(ErrorCode.OBJECT_NAME_NOT_FOUND, result);
    sameAnswer("done", result);
    handle.connected = true;
    handle.used = true;
    assert.equal(result.open?.lease?.state ?? 0, handle.lease?.state ?? 0, "what it had stays as it was");
    this.book.delivered(handle.lease);
    this.letGo(handle.path);
  }

  /** Something changed at a file: whoever waits there, below or above it is tried again, in order. */
  private letGo(where: string): void {
    const done = this.world.eventsOf("pending-done").map(({ pendingDone }) => pendingDone ?? {});
    for (let again = true; again; ) {
      again = false;
      for (const waiter of this.waiters.filter((one) => near(one.path, where))) {
        const answer = waiter.attempt();
        if (answer === "wait") continue;
        const next = done.shift();
        assert.equal(next?.pendingId, waiter.pendingId, "let go in order");
        sameAnswer(answer, next?.result ?? {});
        this.waiters = this.waiters.filter((one) => one !== waiter);
        again = true;
      }
    }
    assert.equal(done.length, 0, "nobody else is let go");
  }

  /** What the two know has to agree. */
  check(): void {
    const { machine } = this.world;
    assert.deepEqual(
      [...machine.pending()].map(({ id }) => id).sort(byNumber),
      this.waiters.map(({ pendingId }) => pendingId).sort(byNumber),
    );
    for (const lease of this.book.leases)
      sameLease(lease, this.world.lease(this.at(lease.client), lease.key));
    for (let number = 0; number < CLIENTS; number++)
      for (let at = 0; at < PATHS.length; at++)
        for (const key of [1, 2]) {
          const name = leaseKeyOf({ client: number, path: at, key });
          const there = this.world.lease(this.at(number), name) !== undefined;
          assert.equal(there, this.book.of(number, name) !== undefined, name);
        }
    assert.equal([...machine.leases()].length, this.book.leases.length);
    for (const handle of this.handles)
      assert.equal(machine.handle(guid(handle.id))?.connected, handle.connected, handle.id);
  }
}

function near(one: string, other: string): boolean {
  return one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`);
}

function byNumber(a: number | null | undefined, b: number | null | undefined): number {
  return (a ?? 0) - (b ?? 0);
}

describePrograms({
  title: "leases against a sequential model",
  text: "random programs with breaks, acknowledgements, absences, failovers and restarts",
  step,
  runs: 300,
  sides: () => new Runner(),
  notices: {
    runs: 100,
    shrink: true,
    planted: [
      "breakWithoutWait",
      "leaseEpochStands",
      "storedBreakLost",
      "directoryLeaseKept",
      "parentKeyIgnored",
      "directoryLeasedForWriting",
    ],
  },
});
