import type { v1 } from "../../wire/index.js";
import { Violation } from "../sim/simulation.js";

/** One registration of a client at a witness, from its first notice to its end. */
export interface Registered {
  revision: number;
  epoch: number;
}

/** What the state says about a session at the witness when a notice leaves it. */
export interface WitnessedSession {
  readonly owner: string;
  readonly epoch: number;
}

/**
 * What a witness promises its clients (semantics.md E): it is never the owner itself, for the dead cannot report their
 * own death; revisions and the epochs of moves only go up; and of moves the latest counts, so that nobody is sent after
 * an owner that the witness already knew to be a former one.
 */
export class WitnessPromises {
  /** A notice leaves the witness `node`; `session` is what it knew of the session then, if it was still there. */
  notice(
    node: string,
    registered: Registered,
    notice: v1.IWitnessNotice,
    session: WitnessedSession | null,
  ): void {
    const revision = notice.revision ?? 0;
    if (revision < registered.revision)
      throw broken(node, `revision ${revision} after ${registered.revision}`);
    registered.revision = revision;
    if (notice.error) return;
    if (notice.registrationId && session?.owner === node)
      throw broken(node, "took a registration for a session that it owns itself");
    const { move } = notice;
    if (!move) return;
    const epoch = move.epoch ?? 0;
    if (epoch < registered.epoch) throw broken(node, `a move to epoch ${epoch} after ${registered.epoch}`);
    registered.epoch = epoch;
    if (session !== null && (session.epoch !== epoch || session.owner !== move.to?.node))
      throw broken(
        node,
        `a move to ${move.to?.node} at epoch ${epoch}, when it knew ${session.owner} at ${session.epoch}`,
      );
  }
}

function broken(node: string, what: string): Violation {
  return new Violation("witness", `${node}: ${what}`);
}
