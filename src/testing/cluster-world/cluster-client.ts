import { connectOver, type Handle, type Session } from "../../client/index.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { Violation } from "../sim/simulation.js";
import type { Prng } from "../sim/prng.js";
import type { SimProcess } from "../sim/sim-process.js";
import type { ClusterWorld } from "./cluster-world.js";

/** Bytes of one record: its text, padded. */
export const RECORD_BYTES = 16;
const OP_DEADLINE_MS = 15_000;
/** Lock-guarded places in the shared file, and a private one for each client in the same file behind them. */
const GUARDED = 2;

/** What a client remembers about one place of a file: the last value it knows to stand there and those that may. */
export interface Place {
  certain: string;
  readonly possible: Set<string>;
}

/** One program over the client library: it opens, writes, reads, appends, locks, creates and removes, and checks answers. */
export class ClusterClient {
  private session: Session | null = null;
  private shared: Handle | null = null;
  private log: Handle | null = null;
  private serial = 0;
  /** Operations that ended, well or with an error. */
  finished = 0;
  succeeded = 0;
  stopped = false;

  constructor(
    readonly id: number,
    private readonly world: ClusterWorld,
    readonly process: SimProcess,
    private readonly prng: Prng,
  ) {}

  /** Runs until `stop`; errors of the product are its answers, violations end the run. */
  async run(): Promise<void> {
    while (!this.stopped) {
      await this.world.pause(this.prng.exponential(1_000_000 / this.world.settings.opsPerSecond));
      if (this.stopped) break;
      try {
        await this.step();
        this.succeeded++;
      } catch (error) {
        this.failed(error);
      }
      this.finished++;
    }
  }

  private failed(error: unknown): void {
    if (!(error instanceof HoldfastError)) {
      this.world.fail(error);
      return;
    }
    this.world.sim.tally.situation(`client saw ${error.codeName}`);
    if (error.code === ErrorCode.INTERNAL) this.world.fail(error);
    const lost: readonly ErrorCode[] = [
      ErrorCode.UNKNOWN_SESSION,
      ErrorCode.USER_SESSION_DELETED,
      ErrorCode.FILE_CLOSED,
      ErrorCode.UNKNOWN_HANDLE,
      ErrorCode.OBJECT_NAME_NOT_FOUND,
    ];
    if (lost.includes(error.code)) this.forget();
  }

  /** Nobody may lose a session within its timeout: the world decides whether that was allowed. */
  private forget(): void {
    this.world.sim.tally.situation("client lost its session or handle");
    this.world.locks.gone(this.name);
    this.session?.abandon();
    this.session = null;
    this.shared = null;
    this.log = null;
  }

  private get name(): string {
    return `client ${this.id}`;
  }

  private async step(): Promise<void> {
    this.session ??= await connectOver(this.world.clientNetwork(this), this.process.runtime(), {
      nodes: this.prng.shuffle(this.world.addresses),
      clientName: this.name,
      deadlineMs: OP_DEADLINE_MS,
      witness: this.world.settings.witness,
    });
    const kind = this.prng.below(10);
    if (kind < 3) await this.writePrivate();
    else if (kind < 5) await this.append();
    else if (kind < 8) await this.guarded();
    else await this.createAndRemove(this.session);
  }

  private async open(name: string): Promise<Handle> {
    const session = this.session as Session;
    return session.open(`demo:/${name}`, { disposition: "open-if", access: "read-write" });
  }

  private record(): string {
    return `${this.id}.${++this.serial}`;
  }

  /** A place that nobody else writes: a read must give the last write, or one whose outcome is unknown. */
  private async writePrivate(): Promise<void> {
    this.shared ??= await this.open("shared");
    const offset = (GUARDED + this.id) * RECORD_BYTES;
    const place = this.world.place(`private ${this.id}`);
    if (this.prng.chance(0.5)) await this.writeTo(this.shared, offset, place);
    else this.look(place, text(await this.shared.read(offset, RECORD_BYTES)), `${this.name}'s own place`);
  }

  private async writeTo(handle: Handle, offset: number, place: Place): Promise<void> {
    const value = this.record();
    place.possible.add(value);
    await handle.write(offset, encode(value));
    place.certain = value;
    place.possible.clear();
    this.world.writes++;
  }

  private look(place: Place, seen: string, where: string): void {
    this.world.reads++;
    if (seen === place.certain || place.possible.has(seen)) {
      // What was seen after all the unknown writes had their time is certain only for a place that nobody writes now.
      return;
    }
    this.world.fail(
      new Violation(
        "acknowledged write lost",
        `${where} shows "${seen}"; last acknowledged is "${place.certain}", possible ${[...place.possible].join(" ")}`,
      ),
    );
  }

  /** Appends a record of its own; the world checks at the end that each stands in the file as often as it was answered. */
  private async append(): Promise<void> {
    this.log ??= await this.open("log");
    const value = this.record();
    this.world.appended(value, null);
    const offset = await this.log.append(encode(value));
    this.world.appended(value, offset);
  }

  /** Under an exclusive lock a place behaves like a variable, whoever owns which session. */
  private async guarded(): Promise<void> {
    this.shared ??= await this.open("shared");
    const handle = this.shared;
    const slot = this.prng.below(GUARDED);
    const range = { offset: slot * RECORD_BYTES, length: RECORD_BYTES };
    const held = { start: range.offset, end: range.offset + range.length };
    if (!(await handle.tryLock(range))) {
      this.world.sim.tally.situation("lock refused");
      return;
    }
    this.world.sim.tally.situation("lock granted");
    this.world.guard(() => this.world.locks.granted("shared", this.name, held, true));
    try {
      const place = this.world.place(`guarded ${slot}`);
      this.look(place, text(await handle.read(range.offset, RECORD_BYTES)), `guarded place ${slot}`);
      await this.writeTo(handle, range.offset, place);
    } finally {
      this.world.locks.releasing("shared", this.name, held);
      await handle.unlock(range);
    }
  }

  /** A name is created once, by one client, and is gone after its removal. */
  private async createAndRemove(session: Session): Promise<void> {
    const name = `file-${this.record()}`;
    this.world.named(name, "creating");
    const creating = session.open(`demo:/${name}`, { disposition: "create", access: "all" });
    const handle = await this.unless(
      ErrorCode.OBJECT_NAME_COLLISION,
      `create of ${name}, a new name,`,
      creating,
    );
    this.world.named(name, "there");
    if (this.prng.chance(0.5)) await handle.write(0, encode(name));
    await handle.close();
    if (this.prng.chance(0.5)) {
      this.world.named(name, "removing");
      const removing = session.remove(`demo:/${name}`);
      await this.unless(ErrorCode.OBJECT_NAME_NOT_FOUND, `removal of ${name}, which stands,`, removing);
      this.world.named(name, "gone");
    }
  }

  /** This answer would mean that a call was carried out twice, or that somebody else touched the name. */
  private async unless<T>(code: ErrorCode, what: string, call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== code) throw error;
      throw new Violation("own name", `${what} was answered with ${error.codeName}: ${error.message}`);
    }
  }
}

/** A record as it lies in a file: its text, padded with zeros. */
export function encode(value: string): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  for (let i = 0; i < value.length; i++) bytes[i] = value.charCodeAt(i);
  return bytes;
}

/** The text of a record; empty where nothing was ever written. */
export function text(bytes: Uint8Array): string {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return Buffer.from(bytes.subarray(0, end)).toString("latin1");
}
