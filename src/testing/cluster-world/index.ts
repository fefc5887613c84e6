export { CLUSTER_BOUND_US, ClusterWorld } from "./cluster-world.js";
export { runCluster } from "./run-cluster.js";
export { CLUSTER_SITUATION_SEEDS, CLUSTER_SITUATIONS, SCENE_SITUATIONS } from "./situations.js";
export { damagesDisks } from "./disk-damage.js";
