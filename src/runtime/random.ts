import { randomBytes, randomInt } from "node:crypto";
import type { Random } from "./api.js";

/** Randomness of the operating system: ids that are made of it do not collide between nodes. */
export const realRandom: Random = {
  below: (bound) => (bound <= 1 ? 0 : randomInt(bound)),
  bytes: (length) => randomBytes(length),
};
