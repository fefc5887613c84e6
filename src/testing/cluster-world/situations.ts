/** Situations that runs of the whole product have to reach; see `CORE_SITUATIONS`. */
export const CLUSTER_SITUATIONS: readonly string[] = [
  "closed on a full disk",
  "cluster of 1",
  "cluster of 3",
  "cluster of 5",
  "damaged log refused at start",
  "damaged record refused at start",
  "database opened anew on a full disk",
  "disk declared full",
  "everybody served after the faults",
  "file closed that was opened with a share mode",
  "file opened after somebody left it open",
  "file opened with a share mode",
  "full disk left without help",
  "leader killed",
  "lock granted",
  "lock refused",
  "lost member replaced",
  "member removed and stopped",
  "node stopped because its disk failed",
  "nodes agree after the faults",
  "open refused by a share mode after a failover",
  "open refused by a share mode",
  "operation ended: drain",
  "operation ended: transfer",
  "operator: cordon done",
  "operator: drain done",
  "operator: members add-learner done",
  "operator: members demote done",
  "operator: members demote refused",
  "operator: members promote done",
  "operator: members promote refused",
  "operator: members remove done",
  "operator: members remove refused",
  "operator: move of the leader done",
  "operator: transfer of a session by force done",
  "operator: transfer of a session by force refused",
  "operator: transfer of a session done",
  "operator: transfer of a session refused",
  "operator: transfer of a share done",
  "operator: uncordon done",
  "owner of sessions killed",
  "owner paused beyond its lease",
  "power cut kept a part of the unsynced batches",
  "resumed on a full disk",
  "session changed its owner",
  "torn tail cut at start",
  "wiped disk refused by its peers",
  "witness ended a registration",
  "witness told of a dead node",
  "witness told of a move",
  "witness took a registration",
];

/**
 * Seeds that together reach all of them, those first that reach what the others do not. More than are needed, because a
 * change of the product moves what a seed does; a run stops at the first by which nothing is missing.
 */
export const CLUSTER_SITUATION_SEEDS: readonly number[] = [
  93, 112, 332, 20, 14, 31, 25, 11, 15, 19, 23, 118, 44, 30, 38, 35, 24, 218, 248, 105, 220, 55, 66, 127, 273,
  279, 50, 63, 99, 113, 136, 201,
];

/** What the scenes have to reach. */
export const SCENE_SITUATIONS: readonly string[] = [
  "scene: handle taken up near its deadline: done",
  "scene: newer application let in",
  "scene: older application refused",
  "scene: owner killed while it creates files",
  "scene: served by another while its owner was stopped",
];
