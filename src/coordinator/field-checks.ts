import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";

type Fields = Record<string, unknown>;
/** What is wrong with a command's fields, or null. */
export type Check = (fields: Fields) => string | null;

function text(fields: Fields, field: string, bytesMax: number, required: boolean): string | null {
  const value = (fields[field] as string | null | undefined) ?? "";
  if (value === "") return required ? `${field} is missing` : null;
  // A character needs at least one byte and at most three per UTF-16 unit: most lengths need no encoding to be judged.
  if (value.length > bytesMax || (value.length * 3 > bytesMax && Buffer.byteLength(value) > bytesMax))
    return `${field} has more than ${bytesMax} bytes`;
  return value.includes("\0") ? `${field} holds a NUL character` : null;
}

function size(fields: Fields, field: string): number {
  return (fields[field] as Uint8Array | null | undefined)?.length ?? 0;
}

const U64_FIELD = (value: unknown): boolean =>
  value === undefined || value === null || typeof value === "number";

function fenceProblem(fence: v1.IFence | null | undefined): string | null {
  if (!fence) return "fence is missing";
  if (!U64_FIELD(fence.sessionId) || !U64_FIELD(fence.epoch) || !U64_FIELD(fence.nodeIncarnation))
    return "fence holds numbers above 2^53-1";
  return text(fence as Fields, "node", limits.nameBytesMax, true);
}

/** Builders of checks; each names the field and the bound that it was held to. */
export const checks = {
  fence: (): Check => (fields) => fenceProblem(fields["fence"] as v1.IFence | undefined),
  request: (): Check => (fields) => {
    const request = fields["request"] as v1.IRequestId | null | undefined;
    if (!request) return null;
    if ((request.slot ?? 0) >= limits.slotsPerSession)
      return `request.slot ${request.slot} is not below ${limits.slotsPerSession}`;
    return U64_FIELD(request.sequence) ? null : "request.sequence is above 2^53-1";
  },
  guid:
    (field: string, optional = false): Check =>
    (fields) => {
      const length = size(fields, field);
      if (length === limits.guidBytes || (optional && length === 0)) return null;
      return `${field} must have ${limits.guidBytes} bytes, but has ${length}`;
    },
  bytes:
    (field: string, max: number): Check =>
    (fields) => {
      const length = size(fields, field);
      return length <= max ? null : `${field} has ${length} bytes; at most ${max} are allowed`;
    },
  count:
    (field: string, min: number, max: number): Check =>
    (fields) => {
      const { length } = (fields[field] as unknown[] | undefined) ?? [];
      return length >= min && length <= max
        ? null
        : `${field} must hold ${min} to ${max} items, but holds ${length}`;
    },
  path:
    (field: string): Check =>
    (fields) =>
      text(fields, field, limits.pathBytesMax, false),
  name:
    (field: string): Check =>
    (fields) =>
      text(fields, field, limits.nameBytesMax, true),
  node:
    (field: string): Check =>
    (fields) =>
      text(fields, field, limits.nameBytesMax, true),
  labels: (...names: string[]): Check[] =>
    names.map((name) => (fields: Fields) => text(fields, name, limits.labelBytesMax, false)),
  key: (): Check => (fields) => text(fields, "key", limits.keyBytesMax, true),
  lease: (): Check => (fields) => {
    const lease = fields["lease"] as v1.ILeaseRequest | null | undefined;
    const length = lease?.key?.length ?? 0;
    if (length !== 0 && length !== limits.guidBytes)
      return `lease.key must have ${limits.guidBytes} bytes, but has ${length}`;
    return null;
  },
  effect: (): Check => (fields) => {
    const effect = fields["effect"] as v1.IEffectRecord | null | undefined;
    if (!effect) return "effect is missing";
    const f = effect as Fields;
    // An effect of a foreign file server stands under its resume key, ours under a session.
    const fence = (effect.key ?? "") === "" ? fenceProblem(fields["fence"] as v1.IFence | undefined) : null;
    return (
      fence ??
      text(f, "key", limits.keyBytesMax, false) ??
      text(f, "path", limits.pathBytesMax, false) ??
      text(f, "targetPath", limits.pathBytesMax, false) ??
      checks.bytes("description", limits.keyStateBytesMax)(f)
    );
  },
  registration: (): Check => (fields) => {
    const node = fields["node"] as v1.INodeRecord | null | undefined;
    if (!node) return "node is missing";
    if (!U64_FIELD(node.incarnation) || !node.incarnation)
      return "node.incarnation must be a number from 1 to 2^53-1";
    const f = node as Fields;
    const addresses =
      text(f, "grpcAddress", limits.labelBytesMax, false) ??
      text(f, "httpAddress", limits.labelBytesMax, false);
    return text(f, "name", limits.nameBytesMax, true) ?? addresses;
  },
  /** A node may say that it goes, for itself alone; that another one is down is for the cluster to find. */
  leaving: (): Check => (fields) => {
    if (!U64_FIELD(fields["incarnation"]) || !fields["incarnation"]) return "incarnation is missing";
    if (fields["cause"] !== LEAVING) return `cause must be "${LEAVING}": a node can only take its own leave`;
    return text(fields, "node", limits.nameBytesMax, true);
  },
  unforced: (): Check => (fields) => (fields["forced"] === true ? "forced is for operators" : null),
};

/** The cause that a stopping node gives for its own NodeDown. */
export const LEAVING = "orderly stop";
