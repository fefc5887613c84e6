export * from "./clock.js";
export * from "./event-queue.js";
export * from "./network.js";
export * from "./prng.js";
export * from "./simulation.js";
export * from "./tally.js";
export * from "./trace-hash.js";
