import type { v1 } from "../wire/index.js";
import type { FileLink } from "./link.js";

/** What a frame of the library's own does with its answer. */
export type Answered = (response: v1.IFileResponse) => void;

interface Waiting {
  readonly answered: Answered;
  readonly link: FileLink;
}

/**
 * Frames of the library's own (handshakes, cancels, reports) that wait for an answer. Nobody's call: they are never sent
 * again, and what a link has not answered is forgotten with it.
 */
export class ExpressFrames {
  readonly #waiting = new Map<number, Waiting>();

  /** `answered` gets the answer to frame `id`, if it comes on `link`. */
  expect(id: number, link: FileLink, answered: Answered): void {
    this.#waiting.set(id, { answered, link });
  }

  /** Hands an answer on; false: it is of no frame of ours. */
  take(id: number, response: v1.IFileResponse): boolean {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return false;
    this.#waiting.delete(id);
    waiting.answered(response);
    return true;
  }

  linkLost(link: FileLink): void {
    for (const [id, waiting] of this.#waiting) if (waiting.link === link) this.#waiting.delete(id);
  }

  clear(): void {
    this.#waiting.clear();
  }
}
