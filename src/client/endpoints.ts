import type { Random } from "../runtime/api.js";

/** The addresses that a client knows, and in which order to try them. */
export class Endpoints {
  readonly #random: Random;
  readonly #known: Set<string>;
  /** Where the session is most likely to be taken: the owner as last heard. */
  #preferred: string | null = null;
  /** A node that just failed us: tried last. */
  #avoided: string | null = null;

  constructor(random: Random, configured: readonly string[]) {
    this.#random = random;
    this.#known = new Set(configured);
  }

  /** Adds addresses that the cluster named. Empty ones are ignored. */
  learn(addresses: Iterable<string | null | undefined>): void {
    for (const address of addresses) if (address) this.#known.add(address);
  }

  /** Tried first from now on, unless it is the node that just failed us. */
  prefer(address: string | null | undefined): void {
    if (!address) return;
    this.#known.add(address);
    if (this.#avoided !== address) this.#preferred = address;
  }

  /** The session was taken there: whatever was held against it is forgotten. */
  settled(address: string): void {
    this.#known.add(address);
    this.#preferred = address;
    this.#avoided = null;
  }

  avoid(address: string): void {
    this.#avoided = address;
    if (this.#preferred === address) this.#preferred = null;
  }

  /** All addresses: the preferred one first, the avoided one last, the rest shuffled so that clients spread out. */
  order(): string[] {
    const rest = [...this.#known].filter((a) => a !== this.#preferred && a !== this.#avoided);
    for (let i = rest.length - 1; i > 0; i--) {
      const j = this.#random.below(i + 1);
      [rest[i], rest[j]] = [rest[j] as string, rest[i] as string];
    }
    if (this.#preferred !== null) rest.unshift(this.#preferred);
    if (this.#avoided !== null && this.#known.has(this.#avoided)) rest.push(this.#avoided);
    return rest;
  }
}
