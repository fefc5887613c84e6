import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import { type Client, guid, World } from "../harness.js";
import {
  type Answer,
  describePrograms,
  leaseKeyOf,
  type LockStep,
  sameAnswer,
  sameLease,
  shareModeOf,
  startAgain,
} from "./programs.js";
import { type ModelHandle, type Waiter, type Wanted, WholeModel } from "./whole-model.js";
import { CLIENTS, PATHS, type Step, step } from "./whole-steps.js";

const { ErrorCode } = v1;
/** Longer than a program lets anybody be away. */
const SESSION_TIMEOUT_MS = 300_000;

/** Runs a program against the model and the state machine; they have to agree after each step. */
class Runner {
  readonly world = new World({ nodes: ["n1", "n2"] });
  readonly model = new WholeModel(CLIENTS);
  private readonly clients: Client[];
  private opens = 0;

  constructor() {
    for (const name of PATHS) this.world.file(name);
    this.model.nowMs = this.world.nowMs;
    this.clients = Array.from({ length: CLIENTS }, (_, i) =>
      this.world.client(`c${i}`, "n1", { timeoutMs: SESSION_TIMEOUT_MS }),
    );
  }

  step(one: Step): void {
    switch (one.op) {
      case "open":
        return this.open(one);
      case "lock":
      case "unlock":
        return this.onHandle(one, (handle) => this[one.op](handle, one));
      case "write":
        return this.onHandle(one, (handle) => this.write(handle));
      case "close":
        return this.onHandle(one, (handle) => this.close(handle));
      case "reconnect":
        return this.onHandle(one, (handle) => this.reconnect(handle));
      case "replay":
        return this.onHandle(one, (handle) => this.replay(handle));
      case "early":
        return this.expireEarly(one);
      case "ack":
        return this.ack(one);
      case "disconnect":
        if (!this.model.client(one.client).connected) return;
        this.world.disconnect(this.at(one.client));
        return this.model.lost(one.client);
      case "connect":
        this.world.connect(this.at(one.client));
        return this.model.back(one.client);
      case "pass":
        return this.pass(one.ms);
      case "kill":
        return this.kill();
      case "restart":
        return this.world.restart();
    }
  }

  private at(number: number): Client {
    return this.clients[number] as Client;
  }

  private kill(): void {
    const owner = this.world.session(this.at(0)).owner ?? "";
    this.world.kill(owner);
    for (let number = 0; number < CLIENTS; number++) this.model.lost(number);
    // The new owner begins with what waits.
    this.changed(null);
    startAgain(this.world, owner);
  }

  private open(one: Step & { op: "open" }): void {
    if (!this.model.client(one.client).connected) return;
    const id = `h${++this.opens}`;
    const key = leaseKeyOf(one);
    const { client, access, share, asked, timeoutMs } = one;
    const wanted: Wanted = { id, client, path: PATHS[one.path] ?? "", access, share, key, asked, timeoutMs };
    const result = this.world.run(
      this.world.openCommand(this.at(client), {
        id,
        path: wanted.path,
        guid: `g${id}`,
        access,
        shareMode: shareModeOf(share),
        disposition: v1.Disposition.OPEN,
        timeoutMs,
        ...(key === "" ? {} : { leaseKey: key, lease: asked }),
      }),
    );
    const attempt = (): Answer => this.model.open(wanted);
    const answer = this.begin(result, result.open?.pendingId ?? 0, {
      client,
      path: wanted.path,
      handle: null,
      lock: null,
      attempt,
    });
    if (answer === "done") this.changed(wanted.path);
  }

  private onHandle(one: { client: number; pick: number }, act: (handle: ModelHandle) => void): void {
    const handle = this.picked(one);
    if (handle !== undefined && this.model.client(one.client).connected) act(handle);
  }

  private picked(one: { client: number; pick: number }): ModelHandle | undefined {
    const mine = this.model.handles.filter(({ wanted }) => wanted.client === one.client);
    return mine[one.pick % Math.max(1, mine.length)];
  }

  /** A leader whose clock is ahead wants a handle to end that has time left. */
  private expireEarly(one: { client: number; pick: number }): void {
    const handle = this.picked(one);
    const deadlineMs = handle?.deadlineMs ?? 0;
    if (handle === undefined || deadlineMs <= this.model.nowMs) return;
    const { connection } = handle;
    const handleId = this.idOf(handle).id;
    const result = this.world.run({ expireHandle: { handleId, connection, deadlineMs } });
    sameAnswer(ErrorCode.NO_CHANGE, result);
  }

  private idOf({ wanted }: ModelHandle): { id: Uint8Array } {
    return { id: guid(wanted.id) };
  }

  private lock(handle: ModelHandle, one: LockStep & { mayWait: boolean }): void {
    const { offset, length, exclusive, mayWait } = one;
    const lock = { offset, length, exclusive };
    const elements = [{ ...lock, failImmediately: !mayWait }];
    const result = this.world.run(this.world.lockCommand(this.at(one.client), this.idOf(handle), elements));
    if (!handle.connected) return sameAnswer(ErrorCode.FILE_CLOSED, result);
    const pendingId = result.lock?.pendingId ?? 0;
    // The first attempt has no place yet; the number that it got is that of every later one.
    let place: number | null = null;
    const attempt = (): Answer => this.model.lock(handle, lock, mayWait, place);
    this.begin(result, pendingId, { client: one.client, path: handle.path, handle, lock, attempt });
    place = pendingId;
  }

  private unlock(handle: ModelHandle, { client, offset, length }: LockStep): void {
    const result = this.world.unlock(this.at(client), this.idOf(handle), offset, length);
    if (!handle.connected) return sameAnswer(ErrorCode.FILE_CLOSED, result);
    const answer = this.model.unlock(handle, offset, length);
    sameAnswer(answer, result);
    if (answer === "done") this.changed(handle.path);
  }

  private write(handle: ModelHandle): void {
    const { client } = handle.wanted;
    const fence = this.world.fence(this.at(client));
    const result = this.world.run({
      breakLeases: { fence, handleId: this.idOf(handle).id, operation: "write" },
    });
    if (!handle.connected) return sameAnswer(ErrorCode.FILE_CLOSED, result);
    const attempt = (): Answer => this.model.write(handle);
    const call = { client, path: handle.path, handle, lock: null, attempt };
    this.begin(result, result.effect?.pendingId ?? 0, call);
  }

  private close(handle: ModelHandle): void {
    const result = this.world.close(this.at(handle.wanted.client), this.idOf(handle));
    if (!handle.connected) return sameAnswer(ErrorCode.FILE_CLOSED, result);
    sameAnswer("done", result);
    this.ended(handle);
  }

  private ended(handle: ModelHandle): void {
    const cancelled = this.model.end(handle);
    this.changed(handle.path, cancelled);
  }

  private reconnect(handle: ModelHandle): void {
    const client = this.at(handle.wanted.client);
    const result = this.world.reconnect(client, this.world.handle(this.idOf(handle)));
    if (handle.connected) return sameAnswer(ErrorCode.OBJECT_NAME_NOT_FOUND, result);
    sameAnswer("done", result);
    assert.equal(result.open?.lease?.state ?? 0, handle.lease?.state ?? 0, "what it had stays as it was");
    this.model.resume(handle, true);
    this.changed(handle.path);
  }

  private replay(handle: ModelHandle): void {
    const { id, client, path, access } = handle.wanted;
    const spec = { path, guid: `g${id}`, replay: true, access };
    const result = this.world.run(this.world.openCommand(this.at(client), spec));
    if (handle.used) return sameAnswer(ErrorCode.FILE_NOT_AVAILABLE, result);
    sameAnswer("done", result);
    assert.deepEqual(result.open?.handle?.id, guid(id));
    if (handle.connected) return;
    this.model.resume(handle, false);
    this.changed(path);
  }

  private ack(one: Step & { op: "ack" }): void {
    if (!this.model.client(one.client).connected || one.key === 0) return;
    const key = leaseKeyOf(one);
    const result = this.world.ack(this.at(one.client), key, one.state);
    const answer = this.model.acknowledge(one.client, key, one.state);
    sameAnswer(answer, result);
    if (answer === "done") this.changed(PATHS[one.path] ?? "");
  }

  /** Time passes. The machine says what is due, one after the other; the model says whether it is, and that nothing is left. */
  private pass(ms: number): void {
    const untilMs = this.world.nowMs + ms;
    const since = ({ ends }: { ends: { atMs: number }[] }): number => ends.at(-1)?.atMs ?? untilMs;
    if (this.model.clients.some((one) => !one.connected && untilMs >= since(one) + SESSION_TIMEOUT_MS))
      return;
    this.world.nowMs = untilMs;
    this.model.nowMs = untilMs;
    this.world.run({ advanceTime: {} });
    for (let round = 0; ; round++) {
      assert.ok(round < 200, "what is due does not come to an end");
      const [command] = this.world.machine.due(untilMs, 1);
      if (command === undefined) break;
      this.expire(command);
    }
    assert.deepEqual(
      this.model.overdueHandles().map(({ wanted }) => wanted.id),
      [],
      "a handle is overdue",
    );
    assert.deepEqual(
      this.model.overdueBreaks().map(({ key }) => key),
      [],
      "a break is overdue",
    );
  }

  private expire(command: v1.ICommand): void {
    this.world.ok(command);
    const { expireHandle, expireBreak } = command;
    if (expireHandle) {
      const id = Buffer.from(expireHandle.handleId ?? []).toString("hex");
      const handle = this.model
        .overdueHandles()
        .find((one) => Buffer.from(this.idOf(one).id).toString("hex") === id);
      assert.ok(handle, `handle ${id} is not due`);
      return this.ended(handle);
    }
    assert.ok(expireBreak, "nothing else comes to its end here");
    const key = Buffer.from(expireBreak.key ?? []).toString("hex");
    const lease = this.model
      .overdueBreaks()
      .find((one) => Buffer.from(guid(one.key)).toString("hex") === key);
    assert.ok(lease, `break of ${key} is not due`);
    this.model.book.expired(lease);
    if (lease.breaking === null) this.changed(lease.path);
  }

  private begin(result: v1.ICommandResult, pendingId: number, call: Omit<Waiter, "pendingId">): Answer {
    const answer = call.attempt();
    sameAnswer(answer, result);
    if (answer === "wait") this.model.waiters.push({ ...call, pendingId });
    return answer;
  }

  /**
   * Something changed at a file, or (null) at all of them: calls that ended with it come first, and whoever waits there is
   * tried again, always the one that came first, until nobody gets on.
   */
  private changed(path: string | null, cancelled: readonly Waiter[] = []): void {
    const done = this.world.eventsOf("pending-done").map(({ pendingDone }) => pendingDone ?? {});
    const next = (waiter: Waiter, answer: Answer): void => {
      const event = done.shift();
      assert.equal(event?.pendingId, waiter.pendingId, "let go in order");
      sameAnswer(answer, event?.result ?? {});
    };
    for (const waiter of cancelled) next(waiter, ErrorCode.CANCELLED);
    const at = (where: string | null): Waiter[] =>
      this.model.waiters.filter((waiter) => where === null || waiter.path === where);
    let woken = at(path);
    for (let first = woken.shift(); first !== undefined; first = woken.shift()) {
      const waiter = first;
      const answer = waiter.attempt();
      if (answer === "wait") continue;
      next(waiter, answer);
      this.model.waiters = this.model.waiters.filter((one) => one !== waiter);
      // A handle that was opened, and a call that was refused, are changes too; a lock or a write in place is none.
      if (answer === "done" && waiter.handle !== null) continue;
      const again = at(waiter.path);
      woken = this.model.waiters.filter((one) => woken.includes(one) || again.includes(one));
    }
    assert.equal(done.length, 0, "nobody else is let go");
  }

  /** What the two know has to agree. */
  check(): void {
    const { machine } = this.world;
    const { model } = this;
    assert.deepEqual(
      [...machine.pending()].map(({ id }) => id ?? 0).sort((a, b) => a - b),
      model.waiters.map(({ pendingId }) => pendingId),
    );
    // Opens that wait have a handle reserved.
    const reserved = model.waiters.filter(({ handle }) => handle === null).length;
    assert.equal(machine.counts().handles, model.handles.length + reserved);
    for (const handle of model.handles) {
      const record = machine.handle(this.idOf(handle).id);
      assert.equal(record?.connected, handle.connected, handle.wanted.id);
      assert.deepEqual(
        (record?.locks ?? []).map(({ offset, length, exclusive }) => ({ offset, length, exclusive })),
        handle.locks,
        handle.wanted.id,
      );
      assert.equal(record?.replayEligible ?? false, !handle.used, `${handle.wanted.id}: used`);
    }
    assert.equal([...machine.leases()].length, model.book.leases.length);
    for (const lease of model.book.leases)
      sameLease(lease, this.world.lease(this.at(lease.client), lease.key));
  }
}

describePrograms({
  title: "sessions, handles, locks and leases against one sequential model",
  text: "random programs with share conflicts, breaks, locks that wait, expiries, absences, takeovers and restarts",
  step,
  runs: 600,
  sides: () => new Runner(),
  notices: {
    runs: 1000,
    shrink: false,
    planted: [
      "shareCheckOneWay",
      "disconnectedUnprotected",
      "breakWithoutWait",
      "storedBreakLost",
      "leaseEpochStands",
      "lockSharedConflictMissed",
      "lockOverlapOffByOne",
      "lockWaiterOvertaken",
      "expireEarly",
      "replayAfterUse",
      "stealConnected",
    ],
  },
});
