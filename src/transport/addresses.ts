import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

/** Resolves a host name to an IP address literal. */
export type ResolveHost = (host: string) => Promise<string>;

/** Asks the operating system. Takes a thread of the pool for as long as that takes: to be called rarely. */
export const resolveHost: ResolveHost = async (host) => (await lookup(host)).address;

/** "host:port" split; IPv6 literals stand in brackets. Null when it is not an address. */
function splitAddress(address: string): { readonly host: string; readonly port: string } | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]:\s]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3];
  if (host === undefined || port === undefined || Number(port) > 65_535) return null;
  return { host, port };
}

/**
 * The address of one peer as an IP literal. A name is resolved once and kept: a lookup at each dial would fill the
 * thread pool, which the disk needs, exactly when name service is down. After `dialsPerLookup` failed dials in a row
 * it is resolved anew, since the name may have moved.
 */
export class PeerAddress {
  readonly #address: string;
  readonly #resolve: ResolveHost;
  readonly #dialsPerLookup: number;
  #literal: string | null = null;
  #dials = 0;

  constructor(address: string, resolve: ResolveHost, dialsPerLookup: number) {
    this.#address = address;
    this.#resolve = resolve;
    this.#dialsPerLookup = dialsPerLookup;
  }

  /** "ip:port" for the next dial. Rejects when the name cannot be resolved. */
  async forDial(): Promise<string> {
    if (this.#literal !== null && this.#dials++ < this.#dialsPerLookup) return this.#literal;
    const parts = splitAddress(this.#address);
    if (parts === null) throw new Error(`"${this.#address}" is not an address of the form host:port`);
    const ip = isIP(parts.host) ? parts.host : await this.#resolve(parts.host);
    this.#literal = isIP(ip) === 6 ? `[${ip}]:${parts.port}` : `${ip}:${parts.port}`;
    this.#dials = 0;
    return this.#literal;
  }

  /** The link came up: the literal is good. */
  confirmed(): void {
    this.#dials = 0;
  }
}
