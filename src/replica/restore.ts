import { type RaftMember, type RaftOptions, restoreRaft } from "../raft/index.js";
import type { Runtime } from "../runtime/api.js";
import type { ReplicaConfig } from "./config.js";
import { loadState } from "./load-state.js";
import type { ReplicaDeps } from "./deps.js";
import { ReplicaNode } from "./replica.js";
import { TermStarts } from "./state-writer.js";

/** The core's settings as the replica wants them. */
export function raftOptions(config: ReplicaConfig, runtime: Runtime): RaftOptions {
  return {
    id: config.raftId,
    electionTicks: config.electionTicks,
    heartbeatTicks: config.heartbeatTicks,
    preVote: true,
    checkQuorum: true,
    appendBytesMax: config.appendBytesMax,
    inflightMessagesMax: config.inflightMessagesMax,
    inflightBytesMax: config.inflightBytesMax,
    uncommittedBytesMax: config.uncommittedBytesMax,
    committedBytesMax: config.inflightBytesMax,
    readMode: config.readMode,
    stepDownOnRemoval: true,
    confChangeValidation: true,
    random: (bound) => runtime.random.below(bound),
  };
}

/**
 * Restores a member from its disk and lets it take part. Throws HoldfastError when the disk cannot be read, and for
 * settings that make no sense.
 */
export async function createReplica(deps: ReplicaDeps): Promise<ReplicaNode> {
  const { storage, config, runtime } = deps;
  const durable = await storage.loadDurable();
  const machine = await loadState(storage, deps.createStateMachine, runtime.scheduler);
  const meta = storage.applied;
  const raft: RaftMember = restoreRaft(raftOptions(config, runtime), durable);
  const terms = new TermStarts();
  terms.reset(durable.snapshotIndex, durable.snapshotTerm);
  for (const entry of durable.entries) if (entry.index <= meta.index) terms.note(entry.index, entry.term);
  const position = {
    index: meta.index,
    term: meta.term,
    confState: durable.confState,
    confIndex: durable.confIndex ?? meta.confIndex ?? 0,
  };
  deps.onLoaded?.();
  const node = new ReplicaNode(deps, { raft, machine, position, cutIndex: durable.snapshotIndex, terms });
  node.start();
  return node;
}
