import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";

/** What a create does: nothing outside, an effect, or an error. */
export type DispositionOutcome =
  | { readonly kind: "open" }
  | { readonly kind: "effect"; readonly effect: v1.EffectKind; readonly action: v1.CreateAction }
  | { readonly kind: "error"; readonly code: ErrorCode };

const OPEN: DispositionOutcome = { kind: "open" };
const CREATE: DispositionOutcome = {
  kind: "effect",
  effect: v1.EffectKind.EFFECT_CREATE,
  action: v1.CreateAction.CREATED,
};
const OVERWRITE: DispositionOutcome = {
  kind: "effect",
  effect: v1.EffectKind.EFFECT_OVERWRITE,
  action: v1.CreateAction.OVERWRITTEN,
};
const SUPERSEDE: DispositionOutcome = {
  kind: "effect",
  effect: v1.EffectKind.EFFECT_SUPERSEDE,
  action: v1.CreateAction.SUPERSEDED,
};
const COLLISION: DispositionOutcome = { kind: "error", code: ErrorCode.OBJECT_NAME_COLLISION };
const NOT_FOUND: DispositionOutcome = { kind: "error", code: ErrorCode.OBJECT_NAME_NOT_FOUND };
const INVALID: DispositionOutcome = { kind: "error", code: ErrorCode.INVALID_PARAMETER };

/** Disposition by what stands at the name (semantics.md F1). */
const CELLS: Record<v1.Disposition, Record<"absent" | "file" | "directory", DispositionOutcome>> = {
  [v1.Disposition.DISPOSITION_UNSPECIFIED]: { absent: INVALID, file: INVALID, directory: INVALID },
  [v1.Disposition.SUPERSEDE]: { absent: CREATE, file: SUPERSEDE, directory: COLLISION },
  [v1.Disposition.OPEN]: { absent: NOT_FOUND, file: OPEN, directory: OPEN },
  [v1.Disposition.CREATE]: { absent: CREATE, file: COLLISION, directory: COLLISION },
  [v1.Disposition.OPEN_IF]: { absent: CREATE, file: OPEN, directory: OPEN },
  [v1.Disposition.OVERWRITE]: { absent: NOT_FOUND, file: OVERWRITE, directory: COLLISION },
  [v1.Disposition.OVERWRITE_IF]: { absent: CREATE, file: OVERWRITE, directory: COLLISION },
};

/** What the disposition does to what stands there. */
export function dispositionOutcome(
  disposition: v1.Disposition,
  there: "absent" | "file" | "directory",
): DispositionOutcome {
  return CELLS[disposition]?.[there] ?? INVALID;
}

/** True for the dispositions that replace data: their effect on leases is that of an overwrite. */
export function overwrites(disposition: v1.Disposition): boolean {
  return (
    disposition === v1.Disposition.OVERWRITE ||
    disposition === v1.Disposition.OVERWRITE_IF ||
    disposition === v1.Disposition.SUPERSEDE
  );
}

/** Whether a create that asks for a folder may have this disposition. A missing one does not compile. */
const NAMES_FOLDER: Record<v1.Disposition, boolean> = {
  [v1.Disposition.DISPOSITION_UNSPECIFIED]: true,
  [v1.Disposition.SUPERSEDE]: false,
  [v1.Disposition.OPEN]: true,
  [v1.Disposition.CREATE]: true,
  [v1.Disposition.OPEN_IF]: true,
  [v1.Disposition.OVERWRITE]: false,
  [v1.Disposition.OVERWRITE_IF]: false,
};

/** False for the dispositions that replace content, of which a folder has none (MS-FSA 2.1.5.1, parameter validation). */
export function mayNameFolder(disposition: v1.Disposition): boolean {
  return NAMES_FOLDER[disposition] ?? true;
}
