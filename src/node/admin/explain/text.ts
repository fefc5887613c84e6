import { v1 } from "../../../wire/index.js";
import type { ExplainWorld, Step } from "./world.js";

/** Steps of one answer: what lies between the first and the latest ones is left out, and said to be. */
const STEPS_MAX = 40;

/** A field of a record as a number. */
export const num = (value: number | bigint | null | undefined): number => Number(value ?? 0);

/** Bytes as hex. */
export const hex = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString("hex");

/** An id as the lists show it: twelve digits are enough to find it again. */
export const shortId = (bytes: Uint8Array | null | undefined): string => hex(bytes).slice(0, 12);

/** "1 session", "3 sessions". */
export const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** "350 ms", "42 s", "3 min". */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  return ms < 120_000 ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / 60_000)} min`;
}

/** "demo:/a/b". */
export const fileName = (share: string | null | undefined, path: string | null | undefined): string =>
  `${share ?? ""}:/${path ?? ""}`;

/** One step of a chain. */
export const step = (revision: number, clusterTimeMs: number, text: string): Step => ({
  revision,
  clusterTimeMs,
  text,
});

/** The step that an event is. */
export const stepOf = (event: v1.IEvent, text = event.text ?? ""): Step =>
  step(num(event.revision), num(event.clusterTimeMs), text);

/** How an effect is called: "rename demo:/a to demo:/b". */
export function effectText(effect: v1.IEffectRecord): string {
  const kind = (v1.EffectKind[effect.kind ?? 0] ?? "effect").replace("EFFECT_", "").toLowerCase();
  const target = effect.targetPath ? ` to ${fileName(effect.share, effect.targetPath)}` : "";
  return `${kind.replaceAll("_", " ")} ${fileName(effect.share, effect.path)}${target}`;
}

/** Effects that are announced and whose outcome is not recorded, of one session. */
export function openEffects(world: ExplainWorld, sessionId: number): v1.IEffectRecord[] {
  return [...world.state.effects()].filter((effect) => num(effect.sessionId) === sessionId);
}

/** The operation's step: what it is, who asked for it, and why. */
export function operationText(operation: v1.IOperationRecord, verb: string): string {
  const by = operation.requestedBy ? `, asked for by ${operation.requestedBy}` : "";
  const reason = operation.reason ? ` (${operation.reason})` : "";
  const error = operation.error ? `: ${operation.error}` : "";
  return `${operation.kind ?? "operation"} ${operation.id ?? ""} ${verb}${by}${reason}${error}`;
}

/** An answer, with a chain that fits a screen. */
export function reply(chain: readonly Step[], summary: string, next: string): v1.IExplainReply {
  const left = chain.length - STEPS_MAX;
  if (left <= 0) return { steps: [...chain], summary, next };
  const [first, ...rest] = chain as readonly [Step, ...Step[]];
  const kept = rest.slice(left + 1);
  const gap = rest[left] as Step;
  return {
    steps: [
      first,
      step(gap.revision, gap.clusterTimeMs, `... ${left + 1} steps up to here are left out: holdfast events`),
      ...kept,
    ],
    summary,
    next,
  };
}
