import { join } from "node:path";
import { Prng } from "../../src/runtime/prng.js";

/** What is done against writes of an owner that was taken for dead (docs/operations.md, Fences). */
export type FenceKind = "copies" | "command" | "none";

const DRAWN: readonly FenceKind[] = ["copies", "command"];
const SCRIPT = join(process.cwd(), "test", "chaos", "kill-node.sh");

/** The fence that was asked for, else one of the two drawn by the seed: without one acknowledged writes may be lost. */
export function fenceOf(wanted: string | undefined, seed: number): FenceKind {
  if (!wanted) return DRAWN[Prng.fromSeed(seed + 1).below(DRAWN.length)] as FenceKind;
  if (wanted === "copies" || wanted === "command" || wanted === "none") return wanted;
  throw new Error(`FENCE=${wanted}: copies, command or none`);
}

/** The part of a node's configuration for it. `folder` is where the harness keeps what the command needs. */
export function fenceConfig(kind: FenceKind, folder: string): Readonly<Record<string, unknown>> {
  if (kind === "command") return { command: ["sh", SCRIPT, folder, "{node}"] };
  return { copyOnTakeover: kind === "copies" };
}

/** A node that was stopped for a while. Times as in the history. */
export interface Stop {
  readonly node: string;
  readonly fromUs: number;
  readonly toUs: number;
}

/** What keeps late writes away in a run, and who could have made some. */
export interface Fencing {
  readonly fence: FenceKind;
  readonly stops: readonly Stop[];
}

/**
 * Whether the fence keeps late writes out of a file. Copies are made only of files that no other session has open; each
 * client's own files are such, those that all clients share are not.
 */
export function isFenced(fence: FenceKind, target: string): boolean {
  return fence === "command" || (fence === "copies" && isOwn(target));
}

/** Files that one client alone has open. */
export function isOwn(target: string): boolean {
  return target.startsWith("own-") || target.startsWith("journal-");
}
