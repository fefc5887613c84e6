import type { Replica } from "../../../replica/api.js";
import { memberName } from "../../node-state.js";
import type { LeaderNote, LeadershipView } from "./world.js";

/** Notes kept: elections are rare, and a storm of them shows in its latest part. */
const NOTES_MAX = 64;

/** What this node saw of leadership since its process started, and what it was asked for. */
export class LeaderLog {
  private readonly notes: (Omit<LeaderNote, "text"> & { text(): string })[] = [];
  private known = "";

  constructor(private readonly replica: Replica) {
    replica.onRoleChange(() => this.look());
  }

  /** An operator asked for another leader here. */
  asked(to: string, reason: string): void {
    const target = to === "" ? "" : ` to ${to}`;
    const why = reason === "" ? "" : ` (${reason})`;
    this.note(() => `asked to move the leadership${target}${why}`);
  }

  view(): LeadershipView {
    const { replica } = this;
    const { raft, lastElectionCause, errors } = replica.status();
    const { leaderId, ready } = replica.leader();
    return {
      self: raft.id,
      leaderId,
      term: raft.term,
      ready: leaderId !== raft.id || ready,
      problems: errors,
      voters: raft.config.voters,
      learners: raft.config.learners,
      cause: lastElectionCause,
      notes: this.notes.map((each) => ({ ...each, text: each.text() })),
    };
  }

  private look(): void {
    const { leaderId, term, isLeader } = this.replica.leader();
    const key = `${leaderId} ${term}`;
    if (key === this.known) return;
    this.known = key;
    const why = isLeader ? `: ${this.replica.status().lastElectionCause}` : "";
    // The name is looked up when it is shown: before the first entries are applied no member has one.
    this.note(() =>
      leaderId === 0
        ? `no leader is known here in term ${term}`
        : `${memberName(this.replica, leaderId)} leads in term ${term}${why}`,
    );
  }

  private note(text: () => string): void {
    this.notes.push({
      revision: this.replica.appliedIndex,
      clusterTimeMs: Math.round(this.replica.clusterTimeMs()),
      text,
    });
    if (this.notes.length > NOTES_MAX) this.notes.shift();
  }
}
