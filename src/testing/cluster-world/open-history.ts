import {
  checkLinearizable,
  exclude,
  explain,
  type OpenMode,
  type OpenTableInput,
  openTableModel,
  type OpenTableOutput,
  type Operation,
  partition,
} from "../linearizability/index.js";
import { Violation } from "../sim/simulation.js";

/** One call on the open table of a file. */
export type OpenOperation = Operation<OpenTableInput, OpenTableOutput>;

/** Clocks of nodes may run faster than the world's by less than this share: timeouts are counted by theirs. */
const CLOCK_SLACK = 0.03;

/** One open, from the moment when it was asked for. */
export interface Holding {
  readonly client: number;
  readonly file: string;
  readonly holder: string;
  readonly mode: OpenMode;
  readonly callUs: number;
  /** Nobody but its own client may have ended it before this time. */
  protectedUntilUs: number;
  /** Its session has another owner than at the open. */
  moved: boolean;
  /** Its client works with it. */
  inHand: boolean;
  /** Its client went away without a word. */
  abandoned: boolean;
  /** When its close was asked for and answered; infinity when nobody knows whether that happened. */
  closed: { readonly callUs: number; readonly returnUs: number } | null;
}

/** Who is asking for what. */
export type OpenRequest = Pick<Holding, "client" | "file" | "holder" | "mode" | "callUs">;

/**
 * What clients saw of the opens of shared files: grants, refusals by share modes, and ends. An open lasts at least for its
 * timeout after its client was last heard (semantics.md A7), whatever dies; after that it may end at any time, without a
 * word to its client. An open with unknown outcome may come to be at any time, and may end at any time.
 */
export class OpenHistory {
  private readonly refusals: OpenOperation[] = [];
  private readonly opens: OpenOperation[] = [];
  private readonly holdings: Holding[] = [];
  /** Under way: each may have come to be and refuse others, although its client was not told yet. */
  private readonly underWay = new Set<OpenRequest>();

  /** It is sent. Until one of the next four is said of the same request, nobody knows what becomes of it. */
  asked(request: OpenRequest): void {
    this.underWay.add(request);
  }

  /** It was refused for reasons that say nothing about share modes. */
  nothingDone(request: OpenRequest): void {
    this.underWay.delete(request);
  }

  /** It was refused because of a share mode. */
  refused(request: OpenRequest, returnUs: number): void {
    this.underWay.delete(request);
    this.refusals.push(openOf(request, returnUs, { done: false }));
  }

  /** It was granted for `timeoutUs`, or with zero nobody knows for how long. */
  granted(request: OpenRequest, returnUs: number, timeoutUs: number): Holding {
    return this.opened(request, returnUs, { done: true }, timeoutUs);
  }

  /** Nobody knows whether it was granted. */
  unknown(request: OpenRequest): void {
    this.opened(request, Number.POSITIVE_INFINITY, null, 0).inHand = false;
  }

  private opened(
    request: OpenRequest,
    returnUs: number,
    output: OpenTableOutput | null,
    timeoutUs: number,
  ): Holding {
    this.underWay.delete(request);
    this.opens.push(openOf(request, returnUs, output));
    const holding: Holding = {
      ...request,
      protectedUntilUs: request.callUs,
      moved: false,
      inHand: true,
      abandoned: false,
      closed: null,
    };
    this.holdings.push(holding);
    this.heard(holding, request.callUs, timeoutUs);
    return holding;
  }

  /** A call on the handle that was begun at `callUs` was answered: the client was there at some time since. */
  heard(holding: Holding, callUs: number, timeoutUs: number): void {
    const untilUs = callUs + Math.floor(timeoutUs * (1 - CLOCK_SLACK));
    holding.protectedUntilUs = Math.max(holding.protectedUntilUs, untilUs);
  }

  /** Opens of this file that their clients had in hand when they last looked. */
  inHand(file: string): Holding[] {
    return this.holdings.filter((holding) => holding.inHand && holding.file === file);
  }

  /** Whether such an open had to end because its client went away without closing it. Tells it once for each. */
  succeedsAbsent({ file, mode }: OpenRequest): boolean {
    const gone = this.holdings.filter(
      (holding) => holding.file === file && holding.abandoned && exclude(holding.mode, mode),
    );
    for (const holding of gone) holding.abandoned = false;
    return gone.length > 0;
  }

  /** All calls, and the ends that nobody asked for and that may have come. */
  operations(): OpenOperation[] {
    const underWay = [...this.underWay].flatMap(possible);
    return [...this.refusals, ...this.opens, ...this.holdings.flatMap(endsOf), ...underWay];
  }

  /** Throws when some file's opens fit into no order. Tells how many files could be decided. */
  check(stepsMax: number): { readonly linearizable: number; readonly gaveUp: number } {
    const verdicts = { linearizable: 0, gaveUp: 0 };
    for (const part of partition(this.operations(), ({ input }) => input.file)) {
      const { verdict, longest } = checkLinearizable(part, openTableModel, stepsMax);
      if (verdict === "linearizable") verdicts.linearizable++;
      else if (verdict === "gave-up") verdicts.gaveUp++;
      else throw new Violation("linearizable opens", told(part, longest));
    }
    return verdicts;
  }
}

function openOf(request: OpenRequest, returnUs: number, output: OpenTableOutput | null): OpenOperation {
  const { client, file, holder, mode, callUs } = request;
  return { client, input: { file, open: mode, holder }, callUs, returnUs, output };
}

/** An open that may come to be at any time, and may end at any time after that. */
function possible(request: OpenRequest): OpenOperation[] {
  const { client, file, holder, callUs } = request;
  const returnUs = Number.POSITIVE_INFINITY;
  return [
    openOf(request, returnUs, null),
    { client, input: { file, end: true, holder }, callUs, returnUs, output: null },
  ];
}

function endsOf({ client, file, holder, protectedUntilUs, closed }: Holding): OpenOperation[] {
  const input: OpenTableInput = { file, end: true, holder };
  const ends: OpenOperation[] = [];
  if (closed !== null) {
    const output = closed.returnUs === Number.POSITIVE_INFINITY ? null : { done: true };
    ends.push({ client, input, ...closed, output });
  }
  // The library takes "closed already" for a close: one that is answered late does not prove that it was there till then.
  const returnUs = Number.POSITIVE_INFINITY;
  if (closed === null || closed.returnUs > protectedUntilUs)
    ends.push({ client, input, callUs: protectedUntilUs, returnUs, output: null });
  return ends;
}

function told(part: readonly OpenOperation[], longest: readonly number[]): string {
  return (
    `${part.length} operations on ${part[0]?.input.file ?? ""}; at most ${longest.length} of them fit into one order` +
    explain(part, longest, describe)
  );
}

function describe({ input, callUs, returnUs, output }: OpenOperation): string {
  const what = "end" in input ? "ends" : `opens ${input.open.access}/${input.open.share}`;
  const answer = output === null ? "nobody knows" : output.done ? "done" : "refused";
  return `${input.holder} ${what} [${callUs}, ${returnUs}]: ${answer}`;
}
