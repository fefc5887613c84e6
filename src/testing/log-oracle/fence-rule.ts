import type { v1 } from "../../wire/index.js";
import { type Entry, type Finish, type Rule, violated } from "./rule.js";

/** Commands that a new owner may send before it has resolved what it inherited. */
const BEFORE_RESOLUTION: ReadonlySet<string> = new Set([
  "cancelPending",
  "disconnectSession",
  "takeoverDone",
  "moveSession",
]);
/** EFFECT_FENCE. */
const FENCE = 11;

interface Fenced {
  readonly fence?: v1.IFence | null;
  readonly handleId?: Uint8Array | null;
  readonly forced?: boolean | null;
  readonly effect?: v1.IEffectRecord | null;
}

/**
 * Only the present owner changes anything, under the present epoch, and nothing new before it has resolved what it
 * inherited (semantics.md D4, C5).
 */
export class FenceRule implements Rule {
  begin(entry: Entry): Finish | null {
    const body = entry.command[entry.name as keyof v1.ICommand] as Fenced | undefined;
    const waiting = takenOver(entry);
    if (!body?.fence || body.forced || body.effect?.key) return waiting;
    const before = ownerOf(entry, body);
    const { fence } = body;
    const early = BEFORE_RESOLUTION.has(entry.name) || body.effect?.kind === FENCE;
    return (applied) => {
      waiting?.(applied);
      if (applied.result.error) return;
      const owner = entry.comesBack ? ownerOf(entry, body) : before;
      if (owner === null)
        violated("fencing", entry, `it was executed for session ${fence.sessionId}, which does not exist`);
      const current =
        fence.epoch === owner.epoch &&
        fence.node === owner.node &&
        fence.nodeIncarnation === owner.incarnation;
      if (!current)
        violated(
          "fencing",
          entry,
          `it was executed for ${fence.node}/${fence.nodeIncarnation} under epoch ${fence.epoch}; session ` +
            `${fence.sessionId} is ${owner.node}/${owner.incarnation}'s under epoch ${owner.epoch}`,
        );
      if (owner.takenOver && !early)
        violated("served before resolution", entry, `session ${fence.sessionId} has effects to be resolved`);
    };
  }
}

interface Owner {
  readonly node: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly takenOver: boolean;
}

function ownerOf(entry: Entry, body: Fenced): Owner | null {
  const session = entry.view.session(body.fence?.sessionId ?? 0);
  if (session === undefined) return null;
  return {
    node: session.owner ?? "",
    incarnation: session.ownerIncarnation ?? 0,
    epoch: session.epoch ?? 0,
    takenOver: session.takenOver ?? false,
  };
}

/** Parked calls are not let go either while their session is being resolved. */
function takenOver(entry: Entry): Finish | null {
  if (entry.view.pending()[Symbol.iterator]().next().done) return null;
  return ({ events }) => {
    for (const event of events) {
      const result = event.pendingDone?.result;
      if (!result || result.error) continue;
      if (entry.view.session(event.sessionId ?? 0)?.takenOver)
        violated("served before resolution", entry, `a parked call of session ${event.sessionId} was let go`);
    }
  };
}
