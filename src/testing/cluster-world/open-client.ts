import type { AccessOption, Handle, Session } from "../../client/index.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { type OpenMode, OpenRight } from "../linearizability/index.js";
import type { Prng } from "../sim/prng.js";
import type { SimProcess } from "../sim/sim-process.js";
import { Violation } from "../sim/simulation.js";
import { encode, RECORD_BYTES, text } from "./cluster-client.js";
import type { ClusterWorld } from "./cluster-world.js";
import type { Holding, OpenHistory, OpenRequest } from "./open-history.js";
import { RandomProgram } from "./random-program.js";

const DEADLINE_MS = 8_000;
const HELD_MAX = 2;
const { read: R, write: W, delete: D } = OpenRight;
/** DELETE and READ_ATTRIBUTES. */
const REMOVER_ACCESS = 0x10080;

/** Ways to open a file. */
const MODES: readonly { readonly access: AccessOption; readonly mode: OpenMode }[] = [
  { access: "read-write", mode: { access: R | W, share: 0 } },
  { access: "read-write", mode: { access: R | W, share: 0 } },
  { access: "read-write", mode: { access: R | W, share: R } },
  { access: "read", mode: { access: R, share: R | W } },
  { access: "read", mode: { access: R, share: R } },
  { access: "read", mode: { access: R, share: R | W | D } },
  { access: "write", mode: { access: W, share: R | W } },
  { access: REMOVER_ACCESS, mode: { access: D, share: R | W | D } },
];

/** Answers to an open that certainly did nothing, and say nothing about share modes. */
const NOTHING_DONE: ReadonlySet<ErrorCode> = new Set([ErrorCode.FILE_NOT_AVAILABLE, ErrorCode.DISK_FULL]);

interface Held {
  readonly holding: Holding;
  readonly handle: Handle;
  /** What stands in the file as far as this open knows; null before it looked. */
  known: string | null;
}

/**
 * A program over the client library that opens a few shared files, alone or beside readers or writers, and closes them.
 * What it asked and was answered goes into a history. Who lets nobody else write finds what it found or wrote before.
 */
export class OpenClient extends RandomProgram {
  private session: Session | null = null;
  private held: Held[] = [];
  private opens = 0;
  private serial = 0;
  private readonly timeoutMs: number;

  constructor(
    readonly id: number,
    world: ClusterWorld,
    private readonly process: SimProcess,
    prng: Prng,
    private readonly files: readonly string[],
    private readonly history: OpenHistory,
    /** Files that some client has opened: nobody removes them. */
    private readonly present: Set<string>,
  ) {
    super([30_000, 100_000, 300_000], world, prng);
    this.timeoutMs = prng.pick([1_000, 2_500, 6_000]);
  }

  protected async startOver(): Promise<void> {
    await this.leave(this.prng.chance(0.5));
  }

  get name(): string {
    return `opener ${this.id}`;
  }

  protected async step(): Promise<void> {
    this.session ??= await this.connect();
    const dice = this.prng.below(20);
    const held = this.held.length === 0 ? null : this.prng.pick(this.held);
    if (held === null || (dice < 5 && this.held.length < HELD_MAX)) await this.open(this.session);
    else if (dice < 13) await this.look(held);
    else if (dice < 19) await this.close(held);
    else await this.leave(this.prng.chance(0.3));
  }

  private async connect(): Promise<Session> {
    const { population, addresses } = this.world;
    const session = await population.connect(this.id, this.process, {
      nodes: this.prng.shuffle(addresses),
      clientName: this.name,
      deadlineMs: DEADLINE_MS,
      sessionTimeoutMs: this.timeoutMs,
    });
    session.on("moved", () => {
      if (this.session === session) for (const { holding } of this.held) holding.moved = true;
    });
    return session;
  }

  /** Goes without its handles: in order, or as a crash would. */
  private async leave(inOrder: boolean): Promise<void> {
    const { session } = this;
    const nowUs = this.world.sim.nowUs;
    for (const { holding } of this.held) {
      holding.inHand = false;
      holding.abandoned = !inOrder;
      if (inOrder) holding.closed ??= { callUs: nowUs, returnUs: Number.POSITIVE_INFINITY };
    }
    this.held = [];
    this.session = null;
    if (inOrder) await session?.close({ deadlineMs: 2_000 });
    else session?.abandon();
  }

  private async open(session: Session): Promise<void> {
    const file = this.prng.pick(this.files);
    const { access, mode } = this.prng.pick(MODES);
    const holder = `opener ${this.id}.${++this.opens}`;
    const request = { client: this.id, file, holder, mode, callUs: this.world.sim.nowUs };
    const shareMode = {
      read: (mode.share & R) !== 0,
      write: (mode.share & W) !== 0,
      delete: (mode.share & D) !== 0,
    };
    const mustBeThere = this.present.has(file) && this.prng.chance(0.5);
    const disposition = mustBeThere ? "open" : "open-if";
    this.history.asked(request);
    try {
      const options = { access, shareMode, disposition, timeoutMs: this.timeoutMs } as const;
      const handle = await session.open(file, options);
      this.granted(request, handle);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      this.notGranted(request, error, mustBeThere);
    }
  }

  private granted(request: OpenRequest, handle: Handle): void {
    const { tally, nowUs } = this.world.sim;
    this.present.add(request.file);
    tally.situation("file opened with a share mode");
    if (this.history.succeedsAbsent(request)) tally.situation("file opened after somebody left it open");
    const timeoutUs = handle.kind === v1.HandleKind.PERSISTENT ? this.timeoutMs * 1_000 : 0;
    const holding = this.history.granted(request, nowUs, timeoutUs);
    this.held.push({ holding, handle, known: null });
  }

  private notGranted(request: OpenRequest, error: HoldfastError, mustBeThere: boolean): void {
    const { tally, nowUs } = this.world.sim;
    if (error.code === ErrorCode.SHARING_VIOLATION) {
      this.history.refused(request, nowUs);
      tally.situation("open refused by a share mode");
      if (this.history.inHand(request.file).some(({ moved }) => moved))
        tally.situation("open refused by a share mode after a failover");
      return;
    }
    if (error.code === ErrorCode.OBJECT_NAME_NOT_FOUND && mustBeThere)
      throw new Violation(
        "file lost",
        `${request.file} was opened before and is not found: ${error.message}`,
      );
    if (NOTHING_DONE.has(error.code)) {
      this.history.nothingDone(request);
      tally.situation(`open refused: ${error.codeName}`);
      return;
    }
    this.history.unknown(request);
    throw error;
  }

  /** Reads or writes; a handle whose call succeeds has been there all the while. */
  private async look(held: Held): Promise<void> {
    const { handle, holding } = held;
    const { access, share } = holding.mode;
    const callUs = this.world.sim.nowUs;
    const alone = (share & W) === 0;
    if ((access & W) !== 0 && this.prng.chance(0.5)) {
      const value = `${this.id}.${++this.serial}`;
      await handle.write(0, encode(value));
      held.known = value;
    } else if ((access & R) !== 0) {
      const seen = text(await handle.read(0, RECORD_BYTES));
      if (alone && held.known !== null && held.known !== seen)
        throw new Violation(
          "open alone",
          `${holding.holder} lets nobody else write ${holding.file}, where "${held.known}" stood, and reads "${seen}"`,
        );
      held.known = seen;
    } else await handle.stat();
    this.history.heard(
      holding,
      callUs,
      handle.kind === v1.HandleKind.PERSISTENT ? this.timeoutMs * 1_000 : 0,
    );
  }

  private async close(held: Held): Promise<void> {
    const callUs = this.world.sim.nowUs;
    this.held = this.held.filter((other) => other !== held);
    held.holding.inHand = false;
    held.holding.closed = { callUs, returnUs: Number.POSITIVE_INFINITY };
    await held.handle.close();
    held.holding.closed = { callUs, returnUs: this.world.sim.nowUs };
    this.world.sim.tally.situation("file closed that was opened with a share mode");
  }
}
