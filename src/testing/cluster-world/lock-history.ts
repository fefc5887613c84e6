import {
  checkLinearizable,
  explain,
  type Operation,
  type RangeLockInput,
  rangeLockModel,
  type RangeLockOutput,
  withoutFairRefusals,
} from "../linearizability/index.js";
import { Violation } from "../sim/simulation.js";

/** One call on the locks of the file. */
export type LockOperation = Operation<RangeLockInput, RangeLockOutput>;

/** A call that stands in the history from its start on; until it is answered nobody knows what becomes of it. */
interface LockCall extends LockOperation {
  returnUs: number;
  output: RangeLockOutput | null;
}

/**
 * What clients did to the byte-range locks of one file. A call counts from the moment when it is sent, not from when it
 * ends: one that is still under way when the history is checked may have taken a lock that refuses others, or have freed
 * one that others were granted.
 */
export class LockHistory {
  private readonly calls: LockCall[] = [];

  /** All calls, in the order in which they were begun. */
  get operations(): readonly LockOperation[] {
    return this.calls;
  }

  /** `client` asks at `callUs`, and may never learn what became of it. */
  asked(client: number, input: RangeLockInput, callUs: number): void {
    this.begun(client, input, callUs);
  }

  /** Makes a call and notes what it answers; an error leaves open whether it happened. */
  async recorded(
    client: number,
    input: RangeLockInput,
    nowUs: () => number,
    call: () => Promise<boolean>,
  ): Promise<boolean> {
    const asked = this.begun(client, input, nowUs());
    const done = await call();
    asked.returnUs = nowUs();
    asked.output = { done };
    return done;
  }

  private begun(client: number, input: RangeLockInput, callUs: number): LockCall {
    const call = { client, input, callUs, returnUs: Number.POSITIVE_INFINITY, output: null };
    this.calls.push(call);
    return call;
  }

  /** Throws when they fit into no order. False when `stepsMax` steps did not suffice to tell. */
  check(stepsMax: number): boolean {
    const history = withoutFairRefusals(this.calls);
    const { verdict, longest } = checkLinearizable(history, rangeLockModel, stepsMax);
    if (verdict !== "not-linearizable") return verdict === "linearizable";
    throw new Violation(
      "linearizable locks",
      `${history.length} operations on byte-range locks; at most ${longest.length} of them fit into one order` +
        explain(history, longest, describe),
    );
  }
}

function describe({ input, callUs, returnUs, output }: LockOperation): string {
  const answer = output === null ? "nobody knows" : output.done ? "done" : "refused";
  return `${input.holder} ${what(input)} [${callUs}, ${returnUs}]: ${answer}`;
}

function what(input: RangeLockInput): string {
  if ("close" in input) return "closes";
  if ("unlock" in input) return `unlocks ${input.unlock.start}-${input.unlock.end}`;
  return `locks ${input.lock.start}-${input.lock.end}${input.exclusive ? " alone" : ""}`;
}
