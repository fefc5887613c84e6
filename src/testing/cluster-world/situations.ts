/** Situations that runs of the whole product have to reach; see `CORE_SITUATIONS`. */
export const CLUSTER_SITUATIONS: readonly string[] = [
  "cluster of 1",
  "cluster of 3",
  "cluster of 5",
  "everybody served after the faults",
  "leader killed",
  "lock granted",
  "lock refused",
  "nodes agree after the faults",
  "owner of sessions killed",
  "owner paused beyond its lease",
  "power cut kept a part of the unsynced batches",
  "session changed its owner",
];
