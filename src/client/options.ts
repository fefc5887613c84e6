import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { limits } from "../wire/limits.js";

/** What a program may set when it connects. All times in milliseconds. */
export interface ClientOptions {
  /** Any nodes of the cluster, "host:port"; the others are learned from them. At least one. */
  readonly nodes: readonly string[];
  /** For people: shows up in `holdfast sessions`. */
  readonly clientName?: string;
  /** How long a call may take, failovers included, unless the call says otherwise. */
  readonly deadlineMs?: number;
  /** How long the session and its handles survive without this client; the server clamps it (semantics.md A7). */
  readonly sessionTimeoutMs?: number;
  /** Pause before more nodes are tried beside the first one (semantics.md D1). */
  readonly staggerMs?: number;
  /** How many more nodes are tried at once after the stagger. */
  readonly fanout?: number;
  /** Limit of one attempt at one node: dial and session step. */
  readonly attemptTimeoutMs?: number;
  /** A ping goes out after this long without a frame from the node. */
  readonly pingIntervalMs?: number;
  /** A node that sends nothing for this long is given up and the session reconnects. */
  readonly silenceLimitMs?: number;
  /** Calls on the wire at once; more wait in the library. */
  readonly callsInFlightMax?: number;
  /** Connections to the owning node that share the session's calls, 1..32: one of them may break without a pause. */
  readonly channels?: number;
  /** Ask for reports of changes from a node that is not the owner (semantics.md E). */
  readonly witness?: boolean;
  /** Absent: plain connections, for loopback and for networks that are private by other means. */
  readonly tls?: ClientTls;
}

/** Certificates as PEM texts, for clusters that listen with TLS. The client's own prove its principal. */
export interface ClientTls {
  /** Who signed the nodes' certificates; the system's authorities if absent. */
  readonly ca?: string | Uint8Array;
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

/** All settings filled in. */
export type ClientSettings = Required<Omit<ClientOptions, "tls">>;

const DEFAULTS = {
  clientName: "holdfast-client",
  deadlineMs: 30_000,
  sessionTimeoutMs: limits.sessionTimeoutMsDefault,
  staggerMs: 250,
  fanout: 2,
  attemptTimeoutMs: 2_000,
  pingIntervalMs: 300,
  silenceLimitMs: 1_000,
  callsInFlightMax: 1_024,
  channels: 1,
  witness: true,
} as const;

/** A node takes no more channels of one session. */
const CHANNELS_MAX = 32;

/** Fills in the defaults; throws INVALID_ARGUMENT with the value that is wrong. */
export function resolveOptions(options: ClientOptions): ClientSettings {
  const settings = { ...DEFAULTS, ...withoutUndefined(options) } as ClientSettings;
  if (!Array.isArray(settings.nodes) || settings.nodes.length === 0)
    throw invalid("nodes", settings.nodes, 'name at least one node, as in ["127.0.0.1:7401"]');
  for (const address of settings.nodes) checkAddress(address);
  for (const name of NUMBERS) {
    const value = settings[name];
    if (typeof value !== "number" || Number.isNaN(value) || value <= 0)
      throw invalid(name, value, "a number above zero");
  }
  if (!Number.isInteger(settings.channels) || settings.channels > CHANNELS_MAX)
    throw invalid("channels", settings.channels, `a whole number up to ${CHANNELS_MAX}`);
  if (settings.silenceLimitMs < settings.pingIntervalMs * 2)
    throw invalid("silenceLimitMs", settings.silenceLimitMs, "at least twice pingIntervalMs");
  if (new TextEncoder().encode(settings.clientName).length > limits.labelBytesMax)
    throw invalid("clientName", settings.clientName, `at most ${limits.labelBytesMax} bytes`);
  if ((options.tls?.cert === undefined) !== (options.tls?.key === undefined))
    throw invalid("tls", Object.keys(options.tls ?? {}), "cert and key come together");
  // One slow node must not use up more than the caller's whole patience.
  return { ...settings, attemptTimeoutMs: Math.min(settings.attemptTimeoutMs, settings.deadlineMs) };
}

const NUMBERS = [
  "deadlineMs",
  "sessionTimeoutMs",
  "staggerMs",
  "fanout",
  "attemptTimeoutMs",
  "pingIntervalMs",
  "silenceLimitMs",
  "callsInFlightMax",
  "channels",
] as const satisfies readonly (keyof ClientSettings)[];

/** Throws unless `address` is "host:port", an IPv6 host in brackets. */
export function checkAddress(address: string): void {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s/]+):(\d{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match === null || port < 1 || port > 65_535)
    throw invalid("nodes", address, 'an address is "host:port", as in "127.0.0.1:7401" or "[::1]:7401"');
}

function withoutUndefined(options: ClientOptions): Partial<ClientOptions> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function invalid(name: string, value: unknown, next: string): HoldfastError {
  return new HoldfastError(ErrorCode.INVALID_ARGUMENT, `${name} is ${JSON.stringify(value)}`, { next });
}
