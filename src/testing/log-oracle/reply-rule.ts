import type { Applied } from "../../state/api.js";
import type { v1 } from "../../wire/index.js";
import { type Entry, type Finish, key, type Rule, violated } from "./rule.js";

interface Known {
  sequence: number;
  readonly call: string;
  /** Executed to its end: from now on there is one answer. */
  final: boolean;
}

/**
 * A call that has its id is executed once, whatever happens to its answer, and another call under the same id never
 * (semantics.md B6).
 */
export class ReplyRule implements Rule {
  private readonly slots = new Map<string, Known>();
  /** Slots that wait for a parked call or for an effect, by its id. */
  private readonly parked = new Map<number, string>();
  private readonly effects = new Map<number, string>();

  begin(entry: Entry): Finish | null {
    const body = entry.command[entry.name as keyof v1.ICommand] as
      | { fence?: v1.IFence | null; request?: v1.IRequestId | null }
      | undefined;
    const sequence = body?.request?.sequence ?? 0;
    const slot = `${body?.fence?.sessionId ?? 0}/${body?.request?.slot ?? 0}`;
    return (applied) => {
      if (sequence > 0) this.called(entry, slot, sequence, applied.result);
      this.ended(entry, applied);
    };
  }

  private called(entry: Entry, slot: string, sequence: number, result: v1.ICommandResult): void {
    if (result.error) return;
    const known = this.slots.get(slot);
    const call = callText(entry);
    if (known !== undefined && sequence <= known.sequence) {
      if (result.repeated) {
        if (known.call !== call)
          violated(
            "exactly once",
            entry,
            `the answer to "${known.call}" was given to "${call}" (${slot}, ${sequence})`,
          );
        return;
      }
      if (sequence < known.sequence || known.final)
        violated("exactly once", entry, `"${call}" was executed again (slot ${slot}, call ${sequence})`);
    }
    this.slots.set(slot, { sequence, call, final: isFinal(result) });
    const parked = result.open?.pendingId || result.lock?.pendingId || result.effect?.pendingId;
    if (parked) this.parked.set(parked, slot);
    const effect = result.open?.effect?.id ?? result.effect?.effect?.id ?? result.close?.effect?.id;
    if (effect) this.effects.set(effect, slot);
  }

  private ended(entry: Entry, { result, events }: Applied): void {
    for (const { pendingDone } of events) {
      if (!pendingDone) continue;
      const slot = this.parked.get(pendingDone.pendingId ?? 0);
      this.parked.delete(pendingDone.pendingId ?? 0);
      const known = this.slots.get(slot ?? "");
      if (known === undefined || !pendingDone.result || pendingDone.result.error) continue;
      known.final = isFinal(pendingDone.result);
      const effect = pendingDone.result.open?.effect?.id ?? pendingDone.result.effect?.effect?.id;
      if (effect && slot !== undefined) this.effects.set(effect, slot);
    }
    const finished = entry.command.finishEffect;
    if (!finished || result.error) return;
    const known = this.slots.get(this.effects.get(finished.effectId ?? 0) ?? "");
    if (known !== undefined) known.final = true;
  }
}

function isFinal(result: v1.ICommandResult): boolean {
  // 1 is DONE in both enumerations.
  if (result.open) return result.open.status === 1;
  if (result.effect) return result.effect.status === 1;
  if (result.close) return result.close.perform !== true;
  return result.lock?.parked !== true;
}

/** What the client asked for, without what a repeat may carry differently. */
function callText({ name, command }: Entry): string {
  const { openHandle: open, lock, setDisposition, beginEffect } = command;
  if (open)
    return `${name} ${open.share}:${open.path} ${open.disposition} ${open.desiredAccess} ${key(open.createGuid)}`;
  if (lock) {
    const ranges = (lock.elements ?? []).map((one) => `${one.unlock ? "-" : "+"}${one.offset}+${one.length}`);
    return `${name} ${key(lock.handleId)} ${ranges.join(" ")}`;
  }
  if (setDisposition) return `${name} ${key(setDisposition.handleId)} ${setDisposition.delete}`;
  const effect = beginEffect?.effect;
  if (effect) return `${name} ${effect.kind} ${effect.targetPath} ${effect.length} ${key(effect.dataDigest)}`;
  const handle = (command[name as keyof v1.ICommand] as { handleId?: Uint8Array }).handleId;
  return `${name} ${key(handle)}`;
}
