import { ErrorCode } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { utf8Length } from "./ids.js";
import { fail } from "./tx.js";

/** A refusal, or null when the value may pass. */
export type Problem = v1.ICommandResult | null;

/** The first problem of several. */
export function firstProblem(...problems: Problem[]): Problem {
  for (const problem of problems) if (problem !== null) return problem;
  return null;
}

/** Exactly 16 bytes. */
export function guidProblem(name: string, bytes: Uint8Array | null | undefined): Problem {
  const length = bytes?.length ?? 0;
  if (length === limits.guidBytes) return null;
  return fail(ErrorCode.INVALID_ARGUMENT, `${name} has ${length} bytes, it must have ${limits.guidBytes}`);
}

/** 16 bytes or none. */
export function optionalGuidProblem(name: string, bytes: Uint8Array | null | undefined): Problem {
  return bytes?.length ? guidProblem(name, bytes) : null;
}

/** A name for people and configuration: not empty unless allowed, short, no control characters. */
export function labelProblem(name: string, text: string | null | undefined, mayBeEmpty = false): Problem {
  const value = text ?? "";
  if (value === "" && !mayBeEmpty) return fail(ErrorCode.INVALID_ARGUMENT, `${name} is empty`);
  if (utf8Length(value) > limits.labelBytesMax)
    return fail(ErrorCode.LIMIT_EXCEEDED, `${name} is longer than ${limits.labelBytesMax} bytes`);
  return hasControl(value) ? fail(ErrorCode.INVALID_ARGUMENT, `${name} contains control characters`) : null;
}

/** Bytes up to a limit. */
export function bytesProblem(name: string, bytes: Uint8Array | null | undefined, max: number): Problem {
  const length = bytes?.length ?? 0;
  if (length <= max) return null;
  return fail(ErrorCode.LIMIT_EXCEEDED, `${name} has ${length} bytes, the limit is ${max}`);
}

/**
 * A path relative to its share: "/"-separated, no empty, "." or ".." part, no NUL. The empty path is the share's root.
 * The file node checks more; here it is about records that would name the same thing twice.
 */
export function pathProblem(name: string, path: string | null | undefined): Problem {
  const value = path ?? "";
  if (value === "") return null;
  if (utf8Length(value) > limits.pathBytesMax)
    return fail(ErrorCode.OBJECT_NAME_INVALID, `${name} is longer than ${limits.pathBytesMax} bytes`);
  if (value.includes("\0")) return fail(ErrorCode.OBJECT_NAME_INVALID, `${name} contains a NUL`);
  for (const part of value.split("/")) {
    if (part === "" || part === "." || part === "..")
      return fail(
        ErrorCode.OBJECT_NAME_INVALID,
        `${name} "${printable(value)}" has an empty, "." or ".." part`,
      );
    if (part.length > limits.nameBytesMax || utf8Length(part) > limits.nameBytesMax)
      return fail(
        ErrorCode.OBJECT_NAME_INVALID,
        `${name}: a part is longer than ${limits.nameBytesMax} bytes`,
      );
  }
  return null;
}

/** A known share. */
export function shareProblem(share: v1.IShareRecord | undefined, name: string | null | undefined): Problem {
  if (share !== undefined) return null;
  return fail(ErrorCode.UNKNOWN_SHARE, `no share named "${printable(name ?? "")}" is defined`);
}

/** Text of a stranger, safe to print. */
export function printable(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  let safe = "";
  for (const character of cut) safe += character < " " || character === "\u007f" ? "?" : character;
  return safe;
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 32 || code === 127) return true;
  }
  return false;
}
