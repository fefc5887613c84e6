import { FOUNDING, type NodeState } from "./node-space.js";
import type { World } from "./world.js";

/** A promise of Raft that a world breaks. */
export class SafetyViolation extends Error {}

/** At most one leader a term, over the whole history of the world. */
export function checkElectionSafety(world: World): void {
  for (const { core } of world.nodes) {
    const known = world.ghosts.leaders[core.term];
    if (core.role === "leader" && known !== undefined && known !== core.id) {
      throw new SafetyViolation(`two leaders of term ${core.term}: ${known} and ${core.id}`);
    }
  }
}

/** Logs that agree on the term at an index agree on everything up to there. */
export function checkLogMatching(world: World): void {
  for (let i = 0; i < world.nodes.length; i++) {
    for (let j = i + 1; j < world.nodes.length; j++) {
      const left = (world.nodes[i] as NodeState).core.log;
      const right = (world.nodes[j] as NodeState).core.log;
      let matched = false;
      for (let index = Math.min(left.last, right.last); index > FOUNDING; index--) {
        const same = left.term(index) === right.term(index);
        if (matched && !same)
          throw new SafetyViolation(`logs of ${i + 1} and ${j + 1} match above ${index} but not there`);
        matched ||= same;
      }
    }
  }
}

/** A leader holds everything that was committed before its term. */
export function checkLeaderCompleteness(world: World): void {
  for (const { core } of world.nodes) {
    if (core.role !== "leader") continue;
    world.ghosts.committed.forEach((term, index) => {
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
      const known = world.ghosts.committed[index];
      if (known !== undefined && known !== core.log.term(index)) {
        throw new SafetyViolation(`index ${index} committed with terms ${known} and ${core.log.term(index)}`);
      }
    }
  }
}

/** Every committed entry is on the disks of more than half of the voters of some configuration in force. */
export function checkDurableCommit(world: World): void {
  const { committed } = world.ghosts;
  for (let index = FOUNDING + 1; index < committed.length; index++) {
    const term = committed[index];
    if (term === undefined) continue;
    // What was committed just before a joint configuration took effect rests on a majority of its outgoing half.
    const enough = world.nodes.some(
      ({ core }) =>
        heldByMajority(world, core.config.incoming, index, term) ||
        heldByMajority(world, core.config.outgoing, index, term),
    );
    if (!enough) throw new SafetyViolation(`committed ${term}/${index} is not on the disks of a majority`);
  }
}

function heldByMajority(world: World, ids: readonly number[], index: number, term: number): boolean {
  let holders = 0;
  for (let i = 0; i < world.nodes.length; i++) {
    const { core, disk } = world.nodes[i] as NodeState;
    if (disk.entries[index - FOUNDING - 1]?.term === term && ids.includes(core.id)) holders++;
  }
  return holders * 2 > ids.length;
}

/** All promises. */
export function checkWorld(world: World): void {
  checkElectionSafety(world);
  checkLogMatching(world);
  checkLeaderCompleteness(world);
  checkStateMachineSafety(world);
  checkDurableCommit(world);
}
