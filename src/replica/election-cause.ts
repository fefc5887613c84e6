import type { RoleChange } from "../raft/index.js";

/** Why this member last took part in an election, in words for operators. */
export class ElectionCause {
  private campaign = "";
  private last = "none since this process started";
  private role: RoleChange["role"] = "follower";

  get text(): string {
    return this.last;
  }

  /** The next election is begun on purpose. */
  campaigns(why: string): void {
    this.campaign = why;
  }

  /** Leadership was given away by this member itself. */
  steppedAside(why: string): void {
    this.last = why;
  }

  /** `alone`: no other voter could have handed over. Answers whether an election begins here. */
  note(change: RoleChange, alone: boolean): boolean {
    const stands = change.role === "pre-candidate" || change.role === "candidate";
    if (stands && (change.role === "pre-candidate" || this.role === "follower")) {
      // Whoever stands without having asked for a pre-vote was told to stand: the leader before hands over.
      const told = change.role === "candidate" && !alone;
      const unasked = told
        ? "the leader before handed over"
        : "no sign of a leader within the election timeout";
      this.last = this.campaign || unasked;
    } else if (change.role === "follower" && change.leader !== 0) {
      this.last = `member ${change.leader} was elected in term ${change.term}`;
    }
    if (change.leader !== 0) this.campaign = "";
    this.role = change.role;
    return stands;
  }
}
