export { CoreWorld, LIVENESS_BOUND_US } from "./core-world.js";
export { runCore } from "./run-core.js";
export { CORE_SITUATIONS } from "./situations.js";
export { type CoreSettings, describeSettings, drawSettings } from "./swarm.js";
