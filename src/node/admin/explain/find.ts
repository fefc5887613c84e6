import type { StateView } from "../../../state/index.js";
import { ErrorCode, HoldfastError } from "../../../wire/errors.js";
import type { v1 } from "../../../wire/index.js";
import { hex, num } from "./text.js";

/** Handles looked at before others get a turn: a prefix is searched among millions without holding the loop up. */
const SLICE = 5_000;

/** Candidates that an ambiguous prefix names in its error. */
const NAMED = 5;

/** The session that an id or a unique prefix of one means. Ids of sessions that are gone have to be complete. */
export function findSession(state: StateView, text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, `${JSON.stringify(text)} is no session id`, {
      next: "holdfast sessions",
    });
  }
  const exact = Number(text);
  if (state.session(exact) !== undefined) return exact;
  const found: string[] = [];
  for (const session of state.sessions()) {
    const id = String(num(session.id));
    if (id.startsWith(text) && found.push(id) > NAMED) break;
  }
  return found.length === 0 ? exact : Number(only(found, "sessions", text, "holdfast sessions"));
}

/** The node that a name or a unique prefix of one means. */
export function findNode(state: StateView, events: readonly v1.IEvent[], text: string): string {
  const names = new Set([...state.nodes()].map((node) => node.name ?? ""));
  if (names.has(text)) return text;
  const found = [...names].filter((name) => text !== "" && name.startsWith(text));
  if (found.length > 0) return only(found, "nodes", text, "holdfast nodes");
  if (events.some((event) => event.text === `node ${text} was removed`)) return text;
  throw new HoldfastError(
    ErrorCode.UNKNOWN_NODE,
    `there is no node ${text}; known are ${[...names].join(", ") || "none"}`,
    { next: "holdfast nodes" },
  );
}

/** The handle, in hex, that an id or a unique prefix means; closed and gone ones too. `pause` lets others run. */
export async function findHandle(
  state: StateView,
  events: readonly v1.IEvent[],
  text: string,
  pause: () => Promise<void>,
): Promise<string> {
  const prefix = text.toLowerCase().replaceAll("-", "");
  if (!/^[0-9a-f]{1,32}$/.test(prefix)) {
    throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, `${JSON.stringify(text)} is no handle id`, {
      next: "holdfast handles",
    });
  }
  if (prefix.length === 32) return prefix;
  const found = new Set<string>();
  let looked = 0;
  for (const handle of state.handles()) {
    const id = hex(handle.id);
    if (id.startsWith(prefix)) found.add(id);
    if (found.size > NAMED) break;
    if (++looked % SLICE === 0) await pause();
  }
  if (found.size === 0)
    for (const event of events) if (hex(event.handleId).startsWith(prefix)) found.add(hex(event.handleId));
  if (found.size === 0) {
    throw new HoldfastError(ErrorCode.UNKNOWN_HANDLE, `no handle begins with ${prefix}`, {
      next: "holdfast handles --all",
    });
  }
  return only([...found], "handles", prefix, "holdfast handles --all");
}

function only(found: readonly string[], noun: string, text: string, next: string): string {
  const [first, ...more] = found;
  if (first !== undefined && more.length === 0) return first;
  const some = found.slice(0, NAMED).join(", ");
  throw new HoldfastError(
    ErrorCode.INVALID_ARGUMENT,
    `${noun} that begin with ${text}: ${some}${found.length > NAMED ? ", ..." : ""}; more of the id is needed`,
    { next },
  );
}
