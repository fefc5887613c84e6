import type { Handle, Session } from "../../client/index.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { FileInput, FileOutput } from "../linearizability/index.js";
import type { Prng } from "../sim/prng.js";
import type { SimProcess } from "../sim/sim-process.js";
import type { ClusterWorld } from "./cluster-world.js";
import type { EditBoard, EditRound } from "./edit-board.js";

/** Longer than any fault: a call that is not answered because it was forgotten is still under way after the faults. */
const DEADLINE_MS = 60_000;
/** Bytes of an append, and of the places that plain writers have: no two writers share one. */
const PLACE_BYTES = 4;
const CUT_MAX = 20;
const CUTS = 4;
const WRITES = 8;
const CONTENT_MAX = 4_096;

/**
 * A program over the client library that changes a small file together with others: the first of a group appends, cuts
 * or overwrites, the rest writes in place, most of it where the file ends. Who resolves a change of the first may cut the
 * file there, and must not take with it what another one was answered for (semantics.md C4).
 */
export class EditClient {
  private session: Session | null = null;
  private stopped = false;

  constructor(
    readonly id: number,
    private readonly world: ClusterWorld,
    private readonly process: SimProcess,
    private readonly prng: Prng,
    private readonly board: EditBoard,
    /** Its number in the group; the first one is 0. */
    private readonly rank: number,
    private readonly writers: number,
    /** Nodes in the order in which it tries them. */
    private readonly nodes: readonly string[],
    /**
     * For so long a handle is kept for an editor that is away; zero: as the share has it. One that has given its session up
     * leaves its handle behind, and who opens the file waits for that.
     */
    private readonly keptMs = 0,
  ) {}

  /** Runs until it is stopped; `roundsMax` ends it earlier. */
  async run(roundsMax = Number.POSITIVE_INFINITY): Promise<void> {
    for (let n = 0; n < roundsMax; n++) {
      const round = await this.board.next();
      if (round === null) return;
      const handle = await this.guarded(() => this.take(round));
      if (handle !== null) await this.guarded(() => this.edit(round, handle));
      if ((await this.board.ended(round)) === null) return;
      if (this.rank === 0 && handle !== null) await this.guarded(() => this.judge(round, handle));
      if (handle !== null) await this.guarded(() => handle.close());
    }
  }

  get name(): string {
    return `editor ${this.id}`;
  }

  stop(): void {
    this.stopped = true;
    this.board.stop();
  }

  /** Null when the product refused it; then the session is given up. */
  private async guarded<T>(act: () => Promise<T>): Promise<T | null> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code === ErrorCode.INTERNAL) throw error;
      this.world.sim.tally.situation(`editor saw ${error.codeName}`);
      this.session?.abandon();
      this.session = null;
      return null;
    }
  }

  private async take(round: EditRound): Promise<Handle> {
    const { population } = this.world;
    const options = { nodes: this.nodes, clientName: this.name, deadlineMs: DEADLINE_MS };
    this.session ??= await population.connect(this.id, this.process, options);
    return this.session.open(round.file, {
      disposition: "open-if",
      access: "read-write",
      timeoutMs: this.keptMs,
    });
  }

  private async edit(round: EditRound, handle: Handle): Promise<void> {
    const meanUs = this.prng.pick([500, 5_000, 20_000]);
    for (let n = this.rank === 0 ? CUTS : WRITES; n > 0 && !this.stopped; n--) {
      await this.world.pause(this.prng.exponential(meanUs));
      if (this.rank > 0) await this.write(round, handle);
      else await this.cut(round, handle);
    }
  }

  private recorded(round: EditRound, input: FileInput, call: () => Promise<FileOutput>): Promise<void> {
    const { sim, share } = this.world;
    return round.recorded(
      this.id,
      input,
      () => sim.nowUs,
      call,
      () => share.tornWrites,
    );
  }

  private async cut(round: EditRound, handle: Handle): Promise<void> {
    if (round.kind === "append") {
      const input = { append: round.letter(), length: PLACE_BYTES };
      const data = bytesOf(input.append, input.length);
      return this.recorded(round, input, async () => ({ offset: await handle.append(data) }));
    }
    const size = round.kind === "overwrite" ? 0 : this.prng.below(CUT_MAX);
    return this.recorded(round, { size }, async () => {
      if (round.kind === "truncate") await handle.truncate(size);
      else await this.overwrite(round);
      return {};
    });
  }

  private async overwrite({ file }: EditRound): Promise<void> {
    const session = this.session as Session;
    const second = await session.open(file, {
      disposition: "overwrite",
      access: "read-write",
      timeoutMs: this.keptMs,
    });
    await second.close();
  }

  /** Each writer has places of its own: a plain write that is repeated must not undo what another one wrote meanwhile. */
  private write(round: EditRound, handle: Handle): Promise<void> {
    const around = Math.max(0, Math.floor(round.end / PLACE_BYTES) - 1 + this.prng.below(3));
    const place = around - (around % this.writers) + this.rank - 1;
    const offset = place * PLACE_BYTES;
    const input = { write: round.letter(), length: this.prng.between(1, PLACE_BYTES), offset };
    return this.recorded(round, input, async () => {
      await handle.write(offset, bytesOf(input.write, input.length));
      return {};
    });
  }

  private async judge(round: EditRound, handle: Handle): Promise<void> {
    const { tally } = this.world.sim;
    if (!round.answered) {
      tally.situation("edits of a file left open");
      return;
    }
    await this.recorded(round, { content: true }, async () => ({
      content: Buffer.from(await handle.read(0, CONTENT_MAX)).toString("latin1"),
    }));
    if (round.check() === "linearizable") this.world.population.linearizable++;
    else this.world.population.gaveUp++;
    tally.situation(`edits of a file judged: ${round.kind}`);
  }
}

function bytesOf(letter: string, length: number): Uint8Array {
  return new Uint8Array(length).fill(letter.charCodeAt(0));
}
