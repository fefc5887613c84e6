import type { Replica } from "../../replica/api.js";
import type { Scheduler, Timer } from "../../runtime/api.js";
import type { EventRing } from "./event-ring.js";

/** What the notes of a node stand on. */
export interface NodeNotesEnv {
  readonly node: string;
  readonly replica: Pick<Replica, "appliedIndex" | "clusterTimeMs" | "leader" | "status" | "onRoleChange">;
  readonly scheduler: Scheduler;
  readonly ring: EventRing;
  /** A member's name; its number where nobody knows it yet. */
  nameOf(raftId: number): string;
  /** Of the file node; undefined without that role. */
  leaseLeftMs(): number | undefined;
  /** Why no lease is asked for; empty when nothing is wrong. */
  withheld(): string;
  diskFull(): boolean;
  /** What else is wrong here, in words. */
  problems(): readonly string[];
}

/** Between two looks at what tells no change by itself. A lease that is lost and held again in between was never missed. */
const LOOK_MS = 250;

/**
 * Notes what this node sees by itself and no log tells: who leads, its lease, its disk, and what else is wrong with it. In
 * the order of revisions beside what the log tells, as events that carry the node's name.
 */
export class NodeNotes {
  private leader = 0;
  private term = 0;
  private leaseHeld = false;
  private full = false;
  /** By the text without its figures, which change all the time. */
  private problems = new Map<string, string>();
  private timer: Timer | null = null;
  private readonly forget: () => void;

  constructor(private readonly env: NodeNotesEnv) {
    this.forget = env.replica.onRoleChange(() => this.lookAtLeader());
    // Not at once: the start itself holds the event loop, and is no problem.
    this.lookLater();
  }

  stop(): void {
    this.forget();
    this.timer?.cancel();
  }

  /** Puts down that something happened here now. */
  note(kind: string, text: string): void {
    const { node, replica, ring } = this.env;
    ring.push([
      {
        revision: ring.noteRevision(replica.appliedIndex),
        clusterTimeMs: Math.round(replica.clusterTimeMs()),
        node,
        seenBy: node,
        kind,
        text,
      },
    ]);
  }

  private lookAtLeader(): void {
    const { replica } = this.env;
    const { leaderId, term, isLeader } = replica.leader();
    if (leaderId === this.leader && (leaderId === 0 || term === this.term)) return;
    if (leaderId !== 0) this.note("leader-changed", `${this.env.nameOf(leaderId)} leads in term ${term}`);
    else this.note("leader-lost", `no leader is known here in term ${term}`);
    if (isLeader)
      this.note("leader-elected", `elected in term ${term}: ${replica.status().lastElectionCause}`);
    this.leader = leaderId;
    this.term = term;
  }

  private look(): void {
    this.lookAtLease();
    const full = this.env.diskFull();
    if (full !== this.full)
      this.note(
        full ? "disk-full" : "disk-has-room",
        full
          ? "the data folder's disk is full: what needs space is refused"
          : "the data folder's disk has room again",
      );
    this.full = full;
    this.lookAtProblems();
    this.lookLater();
  }

  private lookLater(): void {
    this.timer = this.env.scheduler.after(LOOK_MS, () => this.look());
  }

  private lookAtLease(): void {
    const left = this.env.leaseLeftMs();
    if (left === undefined || left > 0 === this.leaseHeld) return;
    this.leaseHeld = left > 0;
    const why = this.env.withheld();
    if (this.leaseHeld) this.note("lease-held", "the node lease is held: files are served");
    else
      this.note(
        "lease-lost",
        `the node lease has run out: no files are served${why === "" ? "" : `; ${why}`}`,
      );
  }

  private lookAtProblems(): void {
    const present = new Map(this.env.problems().map((text) => [text.replaceAll(/\d+/g, "#"), text]));
    for (const [key, text] of present) if (!this.problems.has(key)) this.note("problem", text);
    for (const [key, text] of this.problems) if (!present.has(key)) this.note("problem-over", text);
    this.problems = present;
  }
}
