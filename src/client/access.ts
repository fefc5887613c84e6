import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";

/** Access bits by the names of semantics.md F1 (SMB's values). */
export const Access = {
  READ_DATA: 0x1,
  WRITE_DATA: 0x2,
  APPEND_DATA: 0x4,
  EXECUTE: 0x20,
  READ_ATTRIBUTES: 0x80,
  WRITE_ATTRIBUTES: 0x100,
  DELETE: 0x10000,
} as const;

const READ = Access.READ_DATA | Access.READ_ATTRIBUTES;
const WRITE = Access.WRITE_DATA | Access.APPEND_DATA | Access.WRITE_ATTRIBUTES | Access.READ_ATTRIBUTES;

/** What a program may ask for: a word, or bits of `Access`. "all" includes renaming and deleting. */
export type AccessOption = "read" | "write" | "read-write" | "all" | number;

/** What must be there and what happens to it. */
export type DispositionOption = "supersede" | "open" | "create" | "open-if" | "overwrite" | "overwrite-if";

/** How long a handle lives: "persistent" outlives its connection and its server. */
export type KindOption = "plain" | "durable" | "resilient" | "persistent";

const ACCESS: Record<Exclude<AccessOption, number>, number> = {
  read: READ,
  write: WRITE,
  "read-write": READ | WRITE,
  all: READ | WRITE | Access.DELETE,
};

const DISPOSITIONS: Record<DispositionOption, v1.Disposition> = {
  supersede: v1.Disposition.SUPERSEDE,
  open: v1.Disposition.OPEN,
  create: v1.Disposition.CREATE,
  "open-if": v1.Disposition.OPEN_IF,
  overwrite: v1.Disposition.OVERWRITE,
  "overwrite-if": v1.Disposition.OVERWRITE_IF,
};

const KINDS: Record<KindOption, v1.HandleKind> = {
  plain: v1.HandleKind.PLAIN,
  durable: v1.HandleKind.DURABLE,
  resilient: v1.HandleKind.RESILIENT,
  persistent: v1.HandleKind.PERSISTENT,
};

/** Bits of an access option. */
export function accessBits(option: AccessOption): number {
  return typeof option === "number" ? option : lookUp(ACCESS, "access", option);
}

/** The wire value of a disposition option. */
export function dispositionOf(option: DispositionOption): v1.Disposition {
  return lookUp(DISPOSITIONS, "disposition", option);
}

/** The wire value of a kind option. */
export function kindOf(option: KindOption): v1.HandleKind {
  return lookUp(KINDS, "kind", option);
}

function lookUp<T>(table: Readonly<Record<string, T>>, what: string, option: string): T {
  const value = Object.hasOwn(table, option) ? table[option] : undefined;
  if (value === undefined)
    throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, `${what} is ${JSON.stringify(option)}`, {
      next: `one of ${Object.keys(table).join(", ")}`,
    });
  return value;
}
