/**
 * Named places at which a test lets this process die by SIGKILL, to see what the next owner makes of it (semantics.md
 * C4). Nothing happens unless HOLDFAST_CRASH_AT names the point, as `name` or `name:n` for its n-th passing.
 */

/** Every point there is, in the order in which an operation passes them. */
export const crashPoints = [
  "intent.recorded",
  "create.temp",
  "create.temp-synced",
  "create.linked",
  "create.synced",
  "mkdir.temp",
  "mkdir.marked",
  "mkdir.renamed",
  "mkdir.synced",
  "overwrite.truncated",
  "overwrite.synced",
  "supersede.temp",
  "supersede.temp-synced",
  "supersede.second-name",
  "supersede.renamed",
  "supersede.synced",
  "truncate.done",
  "truncate.synced",
  "append.written",
  "append.synced",
  "delete.moved",
  "delete.synced",
  "delete.unlinked",
  "rename.linked",
  "rename.linked-synced",
  "rename.renamed",
  "rename.unlinked",
  "rename.synced",
  "link.second-name",
  "link.linked",
  "link.synced",
  "attributes.set",
  "fence.copied",
  "fence.named",
  "fence.second-name",
  "fence.renamed",
  "fence.synced",
  "effect.performed",
  "outcome.recorded",
  "effect.cleaned",
  "write.written",
  "write.synced",
] as const;

/** The name of a place where a process may be told to die. */
export type CrashPoint = (typeof crashPoints)[number];

const armed = parse(process.env["HOLDFAST_CRASH_AT"]);

function parse(setting: string | undefined): { readonly name: string; left: number } | null {
  if (setting === undefined || setting === "") return null;
  const [name, count] = setting.split(":");
  return { name: name ?? "", left: Number(count ?? 1) };
}

let hook: ((name: CrashPoint) => void) | null = null;

/** Test hook: called at every point; what it throws ends the operation there. Null removes it. */
export function setCrashHook(next: ((name: CrashPoint) => void) | null): void {
  hook = next;
}

/** Dies here if this point is armed and has been passed often enough. */
export function crashPoint(name: CrashPoint): void {
  hook?.(name);
  if (armed === null || armed.name !== name) return;
  armed.left -= 1;
  if (armed.left === 0) process.kill(process.pid, "SIGKILL");
}
