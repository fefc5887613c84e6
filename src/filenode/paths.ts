import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { limits } from "../wire/limits.js";

/** Names that begin so belong to Holdfast itself: never shown to a client and refused in its paths. */
export const RESERVED_PREFIX = ".holdfast";

/** The folder below a share's root in which effects under way keep their marked temporary names (semantics.md C4). */
export const EFFECTS_FOLDER = ".holdfast";

const encoder = new TextEncoder();
const LONE_SURROGATE = /\p{Surrogate}/u;

function invalid(path: string, why: string): HoldfastError {
  const shown = path.length > 120 ? `${path.slice(0, 120)}...` : path;
  return new HoldfastError(ErrorCode.OBJECT_NAME_INVALID, `path ${JSON.stringify(shown)} ${why}`, {
    next: 'name it relative to the share, parts separated by "/"',
  });
}

/**
 * Splits a client's path into its components; the empty path is the share's root. Throws OBJECT_NAME_INVALID for
 * everything that could leave the share or could not be a name: absolute, empty, "." and ".." parts, NUL, text that was
 * not UTF-8 on the wire, parts or paths beyond the limits, names that Holdfast keeps for itself.
 */
export function clientPath(path: string): readonly string[] {
  if (path.length > limits.pathBytesMax) throw invalid(path, `is longer than ${limits.pathBytesMax} bytes`);
  if (path === "") return [];
  if (path.startsWith("/")) throw invalid(path, "is absolute");
  checkText(path);
  const components = path.split("/");
  for (const component of components) checkComponent(path, component);
  return components;
}

/** Like `clientPath`, and the root itself is refused: for operations that need a name to work on. */
export function clientName(path: string): readonly string[] {
  const components = clientPath(path);
  if (components.length === 0) throw invalid(path, "names the share itself");
  return components;
}

function checkText(path: string): void {
  if (path.includes("\0")) throw invalid(path, "contains a NUL character");
  // A decoder turns bytes that are not UTF-8 into U+FFFD; two different wrong names would then be one.
  if (LONE_SURROGATE.test(path) || path.includes("\uFFFD")) throw invalid(path, "is not valid UTF-8");
  if (encoder.encode(path).length > limits.pathBytesMax)
    throw invalid(path, `is longer than ${limits.pathBytesMax} bytes`);
}

function checkComponent(path: string, component: string): void {
  if (component === "") throw invalid(path, "has an empty part");
  if (component === "." || component === "..") throw invalid(path, `has a part "${component}"`);
  if (component.length > limits.nameBytesMax || encoder.encode(component).length > limits.nameBytesMax)
    throw invalid(path, `has a part longer than ${limits.nameBytesMax} bytes`);
  if (component.startsWith(RESERVED_PREFIX))
    throw invalid(path, `has a part that begins with "${RESERVED_PREFIX}", which Holdfast keeps for itself`);
}

/** The folder that holds `path`; the empty path for a name directly below the share's root. */
export function parentOf(path: string): string {
  const cut = path.lastIndexOf("/");
  return cut < 0 ? "" : path.slice(0, cut);
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
