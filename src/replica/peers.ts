import type { ConfState, RaftId } from "../raft/index.js";
import type { StateView } from "../state/index.js";
import type { PeerTarget } from "../transport/api.js";
import type { v1 } from "../wire/index.js";
import type { ReplicaConfig } from "./config.js";

/** All members of a configuration, learners included. */
export function membersOf(conf: ConfState): Set<RaftId> {
  return new Set([...conf.voters, ...conf.votersOutgoing, ...conf.learners, ...conf.learnersNext]);
}

/**
 * Whom this member keeps links to: everybody in the configuration, with addresses from the state or, as long as that
 * knows none, from the settings. A member that is joining has no configuration yet and links to whom it was told of.
 */
export function peerTargets(
  config: ReplicaConfig,
  self: RaftId,
  conf: ConfState,
  state: StateView,
): PeerTarget[] {
  const known = new Map<RaftId, v1.IMemberRecord>();
  for (const member of config.initialMembers) known.set(member.raftId ?? 0, member);
  for (const member of state.members()) known.set(member.raftId ?? 0, member);
  const inConf = membersOf(conf);
  const ids = inConf.size > 0 ? inConf : known.keys();
  const targets: PeerTarget[] = [];
  for (const id of ids) {
    const member = known.get(id);
    if (id === self || id === 0 || member === undefined) continue;
    targets.push({ raftId: id, address: member.grpcAddress ?? "", name: member.name ?? String(id) });
  }
  return targets;
}

/**
 * The place of `self` among the voters that could follow `leader`, from zero, going round the ids: everybody who sees
 * the leader die agrees who tries first. -1 for a member without a vote.
 */
export function rankAfter(leader: RaftId, self: RaftId, conf: ConfState): number {
  const voters = [...new Set([...conf.voters, ...conf.votersOutgoing])].filter((id) => id !== leader);
  const ring = [...voters.filter((id) => id > leader), ...voters.filter((id) => id < leader)];
  return ring.indexOf(self);
}
