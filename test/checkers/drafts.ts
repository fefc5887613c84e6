import type { Prng } from "../../src/testing/sim/prng.js";

/** A call of a client that takes effect at one point between its call and its return. */
export interface Draft<T> {
  readonly client: number;
  readonly callUs: number;
  readonly pointUs: number;
  readonly returnUs: number;
  readonly call: T;
}

/** `length` calls of clients that overlap each other and never themselves, in the order in which they take effect. */
export function draftCalls<T>(
  prng: Prng,
  length: number,
  clients: number,
  draw: (number: number) => T,
): Draft<T>[] {
  const drafts: Draft<T>[] = [];
  const freeAt = new Array<number>(clients).fill(0);
  for (let i = 0; i < length; i++) {
    const client = prng.below(clients);
    const callUs = (freeAt[client] as number) + prng.between(1, 40);
    const pointUs = callUs + prng.between(0, 60);
    const returnUs = pointUs + prng.between(0, 60);
    freeAt[client] = returnUs;
    drafts.push({ client, callUs, pointUs, returnUs, call: draw(i) });
  }
  return drafts.sort((x, y) => x.pointUs - y.pointUs || x.client - y.client);
}
