import { ShareBit } from "../tables/handles.js";
import { mutant } from "../mutants.js";
import { accessGroups, Group } from "./access.js";

/** What each group of rights needs the other open to share (semantics.md F1). A missing group does not compile. */
const NEEDS: Record<keyof typeof Group, number> = {
  read: ShareBit.read,
  write: ShareBit.write,
  delete: ShareBit.delete,
};

/** True when an open wants something that the other one does not share. */
function denied(groups: number, shared: number): boolean {
  for (const name of ["read", "write", "delete"] as const) {
    if ((groups & Group[name]) !== 0 && (shared & NEEDS[name]) === 0) return true;
  }
  return false;
}

/** Access and share mode of one open. */
export interface OpenMode {
  readonly access: number;
  readonly share: number;
}

/** True when the two opens cannot both exist: checked both ways, and never for opens without data or delete rights. */
export function sharesConflict(a: OpenMode, b: OpenMode): boolean {
  const wanted = accessGroups(a.access);
  const held = accessGroups(b.access);
  if (wanted === 0 || held === 0) return false;
  if (denied(wanted, b.share)) return true;
  return !mutant.shareCheckOneWay && denied(held, a.share);
}
