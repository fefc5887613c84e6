import {
  checkLinearizable,
  explain,
  type FileInput,
  type FileOutput,
  HOLE,
  type Operation,
  smallFileModel,
} from "../linearizability/index.js";
import type { Prng } from "../sim/prng.js";
import { Violation } from "../sim/simulation.js";

/** Steps of the search after which a round counts as undecided; it takes a few hundred. */
const STEPS_MAX = 100_000;
const FIRST_LETTER = 48;

/** What is asked besides plain writes in one round. */
export type EditKind = "append" | "truncate" | "overwrite";

interface Edit extends Operation<FileInput, FileOutput> {
  returnUs: number;
  output: FileOutput | null;
  /** A part of it may have stood there before all of it did. */
  torn: boolean;
}

/** A few clients change one file of its own at once; what stands there afterwards has to fit what they were answered. */
export class EditRound {
  private readonly edits: Edit[] = [];
  private letters = FIRST_LETTER;
  /** Where the file ends as far as answers tell. */
  end = 0;

  constructor(
    readonly file: string,
    readonly kind: EditKind,
  ) {}

  /** Data that nobody else writes. */
  letter(): string {
    return String.fromCharCode(this.letters++);
  }

  /**
   * Makes a call and notes its answer; one that throws may or may not have happened. `tornWrites`: how many writes losses of
   * power have left in part so far. A write under way meanwhile may be one of them: nobody was answered for it.
   */
  async recorded(
    client: number,
    input: FileInput,
    nowUs: () => number,
    call: () => Promise<FileOutput>,
    tornWrites: () => number = () => 0,
  ): Promise<void> {
    const tornBefore = tornWrites();
    const edit: Edit = {
      client,
      input,
      callUs: nowUs(),
      returnUs: Number.POSITIVE_INFINITY,
      output: null,
      torn: false,
    };
    this.edits.push(edit);
    edit.output = await call();
    edit.returnUs = nowUs();
    edit.torn = tornWrites() !== tornBefore;
    if ("write" in input) this.end = Math.max(this.end, input.offset + input.length);
    else if ("append" in input) this.end = (edit.output.offset ?? 0) + input.length;
    else if ("size" in input) this.end = input.size;
  }

  /** Whether every call was answered: nothing may come later, and nothing may be there in part. */
  get answered(): boolean {
    return this.edits.every(({ output }) => output !== null);
  }

  /** Throws when the calls fit into no order; answers "linearizable" or, after too many steps, "gave-up". */
  check(): "linearizable" | "gave-up" {
    const { verdict, longest } = checkLinearizable(this.edits, smallFileModel, STEPS_MAX);
    if (verdict !== "not-linearizable") return verdict;
    // Only an append tells where the file ended before all of a torn write stood there.
    if (this.kind === "append")
      for (const parts of tornParts(this.edits)) {
        const torn = checkLinearizable([...this.edits, ...parts], smallFileModel, STEPS_MAX);
        if (torn.verdict !== "not-linearizable") return torn.verdict;
      }
    throw new Violation(
      "edits of a file",
      `${this.edits.length} calls on ${this.file}; at most ${longest.length} of them fit into one order` +
        explain(this.edits, longest, describe),
    );
  }
}

/**
 * Each choice of beginnings that torn writes may have left: a write besides that is answered like the whole one, which was
 * sent again.
 */
function tornParts(edits: readonly Edit[]): Edit[][] {
  let choices: Edit[][] = [[]];
  for (const edit of edits) {
    const { input } = edit;
    if (!edit.torn || !("write" in input)) continue;
    const parts = Array.from({ length: input.length - 1 }, (_, n) => ({
      ...edit,
      input: { ...input, length: n + 1 },
    }));
    choices = choices.flatMap((chosen) => [chosen, ...parts.map((part) => [...chosen, part])]);
  }
  return choices.slice(1);
}

function describe({ client, input, callUs, returnUs, output }: Operation<FileInput, FileOutput>): string {
  const at = output?.offset === undefined ? "" : ` at ${output.offset}`;
  return `${client} ${what(input)}${at}${shown(output?.content)} [${callUs}, ${returnUs}]`;
}

function what(input: FileInput): string {
  if ("append" in input) return `appends ${input.append.repeat(input.length)}`;
  if ("write" in input) return `writes ${input.write.repeat(input.length)} at ${input.offset}`;
  return "size" in input ? `cuts to ${input.size}` : "finds";
}

function shown(content: string | undefined): string {
  return content === undefined ? "" : ` "${content.replaceAll(HOLE, ".")}"`;
}

/** Lets the editors of one group begin and end their rounds together. */
export class EditBoard {
  private rounds = 0;
  private waiting: ((round: EditRound | null) => void)[] = [];
  private stopped = false;

  constructor(
    private readonly name: string,
    private readonly size: number,
    private readonly prng: Prng,
    private readonly kinds: readonly EditKind[] = ["append", "truncate", "overwrite"],
  ) {}

  /** Resolves with a new round once all editors ask for one; null: there are no more. */
  next(): Promise<EditRound | null> {
    return this.together(
      () => new EditRound(`demo:/${this.name}-${++this.rounds}`, this.prng.pick(this.kinds)),
    );
  }

  /** Resolves once all editors have done what they wanted; null: they were stopped. */
  ended(round: EditRound): Promise<EditRound | null> {
    return this.together(() => round);
  }

  stop(): void {
    this.stopped = true;
    this.release(null);
  }

  private together(make: () => EditRound): Promise<EditRound | null> {
    if (this.stopped) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      if (this.waiting.length === this.size) this.release(make());
    });
  }

  private release(round: EditRound | null): void {
    const { waiting } = this;
    this.waiting = [];
    for (const go of waiting) go(round);
  }
}
