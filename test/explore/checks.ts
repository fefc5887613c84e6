import type { Entry } from "../../src/raft/index.js";
import { FOUNDING, type NodeState, type World } from "./world.js";

/** A promise of Raft that a world breaks. */
export class SafetyViolation extends Error {}

function held(node: NodeState): readonly Entry[] {
  const { log } = node.core;
  return log.slice(log.first, log.last, Number.MAX_SAFE_INTEGER);
}

/** At most one leader a term, over the whole history of the world. */
export function checkElectionSafety(world: World): void {
  for (const { core } of world.nodes) {
    const known = world.leaders[core.term];
    if (core.role === "leader" && known !== undefined && known !== core.id) {
      throw new SafetyViolation(`two leaders of term ${core.term}: ${known} and ${core.id}`);
    }
  }
}

/** Logs that agree on the term at an index agree on everything up to there. */
export function checkLogMatching(world: World): void {
  for (let i = 0; i < world.nodes.length; i++) {
    for (let j = i + 1; j < world.nodes.length; j++) {
      const left = held(world.nodes[i] as NodeState);
      const right = held(world.nodes[j] as NodeState);
      let matched = false;
      for (let k = Math.min(left.length, right.length) - 1; k >= 0; k--) {
        const same = left[k]?.term === right[k]?.term;
        if (matched && !same)
          throw new SafetyViolation(`logs of ${i + 1} and ${j + 1} match above index ${k} but not there`);
        matched ||= same;
      }
    }
  }
}

/** A leader holds everything that was committed before its term. */
export function checkLeaderCompleteness(world: World): void {
  for (const { core } of world.nodes) {
    if (core.role !== "leader") continue;
    world.committed.forEach((term, index) => {
      if (term === undefined || term > core.term) return;
      // Of its own term it knows what it has appended itself.
      if (core.log.term(index) !== term) {
        throw new SafetyViolation(`leader ${core.id} of term ${core.term} lacks committed ${term}/${index}`);
      }
    });
  }
}

/** Every member that holds an index committed holds the same entry there as everybody ever did. */
export function checkStateMachineSafety(world: World): void {
  for (const { core } of world.nodes) {
    for (let index = core.log.first; index <= core.log.committed; index++) {
      const known = world.committed[index];
      if (known !== undefined && known !== core.log.term(index)) {
        throw new SafetyViolation(`index ${index} committed with terms ${known} and ${core.log.term(index)}`);
      }
    }
  }
}

/** Every committed entry is on the disks of more than half of the founding members, or of a configuration in force. */
export function checkDurableCommit(world: World): void {
  const groups = new Set<string>();
  for (const { core } of world.nodes) groups.add(core.config.incoming.join());
  world.committed.forEach((term, index) => {
    if (term === undefined) return;
    const holders = world.nodes
      .filter((n) => n.disk.entries[index - FOUNDING - 1]?.term === term)
      .map((n) => n.core.id);
    const enough = [...groups].some((text) => {
      const ids = text.split(",").map(Number);
      return ids.filter((id) => holders.includes(id)).length * 2 > ids.length;
    });
    if (!enough)
      throw new SafetyViolation(`committed ${term}/${index} is only on the disks of ${holders.join()}`);
  });
}

/** All promises. */
export function checkWorld(world: World): void {
  checkElectionSafety(world);
  checkLogMatching(world);
  checkLeaderCompleteness(world);
  checkStateMachineSafety(world);
  checkDurableCommit(world);
}
