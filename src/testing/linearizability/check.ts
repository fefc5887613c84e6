import { BitSet } from "./bit-set.js";
import type { Operation, SequentialModel } from "./history.js";

/** What the search found. `gave-up` means that the budget of steps was used up before an answer. */
export interface Linearizability {
  readonly verdict: "linearizable" | "not-linearizable" | "gave-up";
  readonly steps: number;
  /** Positions in the history, in the order of the longest partial linearization that was found. */
  readonly longest: readonly number[];
}

/** A call or a return in the list of what happened, by time. */
interface Node {
  readonly operation: number;
  readonly isCall: boolean;
  readonly timeUs: number;
  match: Node | null;
  previous: Node | null;
  next: Node | null;
}

/**
 * Whether a history is linearizable: Wing and Gong's search with Lowe's memory of (linearized operations, state) pairs.
 * The first call whose step the model allows is linearized and taken out of the list; at a return whose call is still
 * there, the last choice is undone. Operations with unknown outcome never return, so nothing forces them; they may be
 * linearized anywhere after their call, or left out.
 *
 * Iterative, and bounded in steps instead of time, so that the verdict is the same on every machine.
 */
export function checkLinearizable<S, I, O>(
  history: readonly Operation<I, O>[],
  model: SequentialModel<S, I, O>,
  stepsMax: number,
): Linearizability {
  const head = buildList(history);
  let open = history.reduce((count, operation) => count + (operation.returnUs === Infinity ? 0 : 1), 0);
  const done = new BitSet(history.length);
  const memory = new Map<string, BitSet[]>();
  const stack: { readonly call: Node; readonly state: S }[] = [];
  let longest: number[] = [];
  let state = model.initial;
  let steps = 0;
  let at: Node | null = head.next;

  while (open > 0) {
    if (steps++ >= stepsMax) return { verdict: "gave-up", steps, longest };
    if (at !== null && at.isCall) {
      const operation = history[at.operation] as Operation<I, O>;
      const after = model.step(state, operation.input, operation.output);
      if (after !== null) {
        done.set(at.operation);
        if (remember(memory, model.key(after), done)) {
          stack.push({ call: at, state });
          state = after;
          lift(at);
          if (operation.returnUs !== Infinity) open--;
          if (stack.length > longest.length) longest = stack.map(({ call }) => call.operation);
          at = head.next;
          continue;
        }
        done.clear(at.operation);
      }
      at = at.next;
      continue;
    }
    // A return whose call could not be linearized before it, or the end of the list: the last choice was wrong.
    const last = stack.pop();
    if (last === undefined) return { verdict: "not-linearizable", steps, longest };
    state = last.state;
    done.clear(last.call.operation);
    unlift(last.call);
    if ((history[last.call.operation] as Operation<I, O>).returnUs !== Infinity) open++;
    at = last.call.next;
  }
  return { verdict: "linearizable", steps, longest };
}

/** Calls come before returns of the same microsecond: intervals are closed. Answers a head without an operation. */
function buildList<I, O>(history: readonly Operation<I, O>[]): Node {
  const nodes: Node[] = [];
  history.forEach((operation, position) => {
    if (operation.returnUs < operation.callUs) {
      throw new RangeError(
        `operation ${position} returns at ${operation.returnUs}, before its call at ${operation.callUs}`,
      );
    }
    const call: Node = {
      operation: position,
      isCall: true,
      timeUs: operation.callUs,
      match: null,
      previous: null,
      next: null,
    };
    nodes.push(call);
    if (operation.returnUs === Infinity) return;
    const back: Node = { ...call, isCall: false, timeUs: operation.returnUs };
    call.match = back;
    nodes.push(back);
  });
  nodes.sort(
    (x, y) => x.timeUs - y.timeUs || Number(y.isCall) - Number(x.isCall) || x.operation - y.operation,
  );
  const head: Node = { operation: -1, isCall: false, timeUs: 0, match: null, previous: null, next: null };
  let last = head;
  for (const node of nodes) {
    last.next = node;
    node.previous = last;
    last = node;
  }
  return head;
}

function lift(call: Node): void {
  unlink(call);
  if (call.match !== null) unlink(call.match);
}

function unlift(call: Node): void {
  if (call.match !== null) relink(call.match);
  relink(call);
}

function unlink(node: Node): void {
  if (node.previous !== null) node.previous.next = node.next;
  if (node.next !== null) node.next.previous = node.previous;
}

function relink(node: Node): void {
  if (node.previous !== null) node.previous.next = node;
  if (node.next !== null) node.next.previous = node;
}

/** True when this pair of linearized operations and state is new. */
function remember(memory: Map<string, BitSet[]>, stateKey: string, done: BitSet): boolean {
  const key = `${done.hash()}/${stateKey}`;
  const seen = memory.get(key);
  if (seen === undefined) {
    memory.set(key, [done.clone()]);
    return true;
  }
  for (const other of seen) if (other.equals(done)) return false;
  seen.push(done.clone());
  return true;
}
