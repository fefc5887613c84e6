import { Progress } from "../progress/progress.js";
import type { Tracker } from "../progress/tracker.js";
import { type ConfChange, ConfChangeKind, ConfTransition, type Index, type RaftId } from "../types.js";
import { allVoters, type Config, isJoint, withId, withoutId } from "./config.js";

type SingleChange = ConfChange["changes"][number];

/** A prepared configuration with the progress of its members, or why the change is not possible. */
export type ChangeResult =
  | { readonly ok: true; readonly config: Config; readonly tracker: Tracker }
  | { readonly ok: false; readonly error: string };

/** What new progress starts with. */
export interface ProgressSettings {
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** Session number for members that are added now (lesson L13). */
  readonly session: number;
}

interface Draft {
  incoming: readonly RaftId[];
  outgoing: readonly RaftId[];
  learners: readonly RaftId[];
  learnersNext: readonly RaftId[];
  autoLeave: boolean;
  tracker: Tracker;
}

/** Whether a change, when applied, leaves the joint configuration. */
function leavesJoint(change: ConfChange): boolean {
  return change.transition === ConfTransition.Auto && change.changes.length === 0;
}

/** Whether a change, when applied, goes through a joint configuration. */
function entersJoint(change: ConfChange): boolean {
  return change.transition !== ConfTransition.Auto || change.changes.length > 1;
}

/**
 * Computes what a change makes of a configuration, without side effects: an invalid change leaves everything as it was.
 * `lastIndex` is where the search for agreement with a new member begins.
 */
export class Changer {
  constructor(
    private readonly config: Config,
    private readonly tracker: Tracker,
    private readonly lastIndex: Index,
    private readonly settings: ProgressSettings,
  ) {}

  /** The change in the form that its transition and size ask for. */
  apply(change: ConfChange): ChangeResult {
    if (leavesJoint(change)) return this.leaveJoint();
    if (entersJoint(change)) {
      return this.enterJoint(change.transition !== ConfTransition.JointExplicit, change.changes);
    }
    return this.simple(change.changes);
  }

  /** At most one voter of a non-joint configuration changes. */
  simple(changes: readonly SingleChange[]): ChangeResult {
    const bad = this.checked();
    if (bad !== null) return bad;
    if (isJoint(this.config)) return refuse("can't apply simple config change in joint config");
    const draft = this.draft();
    const error = this.applyAll(draft, changes);
    if (error !== null) return refuse(error);
    if (differences(this.config.incoming, draft.incoming) > 1) {
      return refuse("more than one voter changed without entering joint config");
    }
    return finish(draft);
  }

  /** The present voters become the outgoing half, and the changes make the incoming one. */
  enterJoint(autoLeave: boolean, changes: readonly SingleChange[]): ChangeResult {
    const bad = this.checked();
    if (bad !== null) return bad;
    if (isJoint(this.config)) return refuse("config is already joint");
    if (this.config.incoming.length === 0) return refuse("can't make a zero-voter config joint");
    const draft = this.draft();
    draft.outgoing = draft.incoming;
    const error = this.applyAll(draft, changes);
    if (error !== null) return refuse(error);
    draft.autoLeave = autoLeave;
    return finish(draft);
  }

  /** The incoming half decides alone from now on; demoted voters become the learners they were to be. */
  leaveJoint(): ChangeResult {
    const bad = this.checked();
    if (bad !== null) return bad;
    if (!isJoint(this.config)) return refuse("can't leave a non-joint config");
    const draft = this.draft();
    for (const id of draft.learnersNext) {
      draft.learners = withId(draft.learners, id);
      const progress = draft.tracker.get(id);
      if (progress !== undefined) progress.isLearner = true;
    }
    draft.learnersNext = [];
    for (const id of draft.outgoing) {
      if (!draft.incoming.includes(id) && !draft.learners.includes(id)) draft.tracker.delete(id);
    }
    draft.outgoing = [];
    draft.autoLeave = false;
    return finish(draft);
  }

  private checked(): ChangeResult | null {
    const error = configError(this.config, this.tracker);
    return error === null ? null : refuse(error);
  }

  private draft(): Draft {
    return { ...this.config, tracker: this.tracker.clone() };
  }

  private applyAll(draft: Draft, changes: readonly SingleChange[]): string | null {
    for (const { kind, id } of changes) {
      // Id 0 marks a change that the state machine decided to ignore.
      if (id === 0) continue;
      switch (kind) {
        case ConfChangeKind.AddVoter:
          this.makeVoter(draft, id);
          break;
        case ConfChangeKind.AddLearner:
          this.makeLearner(draft, id);
          break;
        case ConfChangeKind.RemoveNode:
          remove(draft, id);
          break;
        case ConfChangeKind.UpdateNode:
          break;
        default:
          return `unexpected conf type ${kind as number}`;
      }
    }
    return draft.incoming.length === 0 ? "removed all voters" : null;
  }

  private makeVoter(draft: Draft, id: RaftId): void {
    const progress = draft.tracker.get(id);
    draft.incoming = withId(draft.incoming, id);
    if (progress === undefined) {
      draft.tracker.set(id, this.newProgress(false));
      return;
    }
    progress.isLearner = false;
    draft.learners = withoutId(draft.learners, id);
    draft.learnersNext = withoutId(draft.learnersNext, id);
  }

  /** A voter of the outgoing half cannot be a learner at the same time, so it waits in `learnersNext`. */
  private makeLearner(draft: Draft, id: RaftId): void {
    const progress = draft.tracker.get(id);
    if (progress === undefined) {
      draft.tracker.set(id, this.newProgress(true));
      draft.learners = withId(draft.learners, id);
      return;
    }
    if (progress.isLearner) return;
    remove(draft, id);
    draft.tracker.set(id, progress);
    if (draft.outgoing.includes(id)) {
      draft.learnersNext = withId(draft.learnersNext, id);
    } else {
      progress.isLearner = true;
      draft.learners = withId(draft.learners, id);
    }
  }

  private newProgress(isLearner: boolean): Progress {
    const { inflightMessagesMax, inflightBytesMax, session } = this.settings;
    const progress = new Progress(
      Math.max(this.lastIndex, 1),
      isLearner,
      session,
      inflightMessagesMax,
      inflightBytesMax,
    );
    // Or a check of the quorum might end the leadership before the new member could say anything.
    progress.recentActive = true;
    return progress;
  }
}

function remove(draft: Draft, id: RaftId): void {
  if (draft.tracker.get(id) === undefined) return;
  draft.incoming = withoutId(draft.incoming, id);
  draft.learners = withoutId(draft.learners, id);
  draft.learnersNext = withoutId(draft.learnersNext, id);
  // The outgoing half still needs its acknowledgements.
  if (!draft.outgoing.includes(id)) draft.tracker.delete(id);
}

function refuse(error: string): ChangeResult {
  return { ok: false, error };
}

function finish(draft: Draft): ChangeResult {
  const { tracker, ...config } = draft;
  const error = configError(config, tracker);
  return error === null ? { ok: true, config, tracker } : refuse(error);
}

function differences(left: readonly RaftId[], right: readonly RaftId[]): number {
  let count = 0;
  for (const id of left) if (!right.includes(id)) count++;
  for (const id of right) if (!left.includes(id)) count++;
  return count;
}

/** What makes a configuration impossible, or null (raft.md 2.13, invariant 13). */
export function configError(config: Config, tracker: Tracker): string | null {
  for (const ids of [allVoters(config), config.learners, config.learnersNext]) {
    for (const id of ids) if (tracker.get(id) === undefined) return `no progress for ${id}`;
  }
  for (const id of config.learnersNext) {
    if (!config.outgoing.includes(id)) return `${id} is in LearnersNext, but not Voters[1]`;
    if (tracker.get(id)?.isLearner) return `${id} is in LearnersNext, but is already marked as learner`;
  }
  for (const id of config.learners) {
    if (config.outgoing.includes(id)) return `${id} is in Learners and Voters[1]`;
    if (config.incoming.includes(id)) return `${id} is in Learners and Voters[0]`;
    if (!tracker.get(id)?.isLearner) return `${id} is in Learners, but is not marked as learner`;
  }
  if (!isJoint(config)) {
    if (config.learnersNext.length > 0) return "LearnersNext must be empty when not joint";
    if (config.autoLeave) return "AutoLeave must be false when not joint";
  }
  return null;
}
