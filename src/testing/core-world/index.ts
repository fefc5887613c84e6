export { CoreWorld, LIVENESS_BOUND_US } from "./core-world.js";
export { runCore } from "./run-core.js";
export { DISK_MUTANTS, setDiskMutant } from "./mutants.js";
export { CORE_SITUATIONS } from "./situations.js";
export { type CoreSettings, describeSettings, drawSettings } from "./swarm.js";
