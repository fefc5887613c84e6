import { Violation } from "../sim/simulation.js";

/** What a member says about itself. */
export interface MemberView {
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly durableIndex: number;
}

interface Memory {
  term: number;
  vote: number;
  commit: number;
  applied: number;
}

/**
 * Within one life of a member: term, commit and applied index never fall, a vote once given in a term stays, and the
 * boundaries of the log are in order (raft.md 2.13, 1 to 3).
 */
export class Monotone {
  private readonly memory = new Map<number, Memory>();

  /** The member starts anew: volatile things may be lower than before. */
  restarted(node: number): void {
    this.memory.delete(node);
  }

  observe(node: number, view: MemberView): void {
    const before = this.memory.get(node);
    if (before === undefined) {
      this.memory.set(node, {
        term: view.term,
        vote: view.vote,
        commit: view.commit,
        applied: view.applied,
      });
    } else {
      notFalling(node, "term", before.term, view.term);
      notFalling(node, "commit index", before.commit, view.commit);
      notFalling(node, "applied index", before.applied, view.applied);
      if (view.term === before.term && before.vote !== 0 && view.vote !== before.vote) {
        throw new Violation(
          "monotone",
          `member ${node} changed its vote in term ${view.term} from ${before.vote} to ${view.vote}`,
        );
      }
      before.term = view.term;
      before.vote = view.vote;
      before.commit = view.commit;
      before.applied = view.applied;
    }
    inOrder(node, "applied", view.applied, "commit", view.commit);
    inOrder(node, "commit", view.commit, "last", view.lastIndex);
    inOrder(node, "durable", view.durableIndex, "last", view.lastIndex);
    inOrder(node, "first - 1", view.firstIndex - 1, "commit", view.commit);
  }
}

function notFalling(node: number, what: string, from: number, to: number): void {
  if (to < from) throw new Violation("monotone", `${what} of member ${node} fell from ${from} to ${to}`);
}

function inOrder(node: number, lowName: string, low: number, highName: string, high: number): void {
  if (low > high) {
    throw new Violation(
      "monotone",
      `member ${node} has ${lowName} index ${low} above ${highName} index ${high}`,
    );
  }
}
