import type { ConfState, RaftId } from "../types.js";

/** A membership configuration under construction or in force. Ids ascend in each list; the lists are never mutated. */
export interface Config {
  /** Voters that decide; in a joint configuration the incoming half. */
  readonly incoming: readonly RaftId[];
  /** Voters of the outgoing half; empty unless joint. */
  readonly outgoing: readonly RaftId[];
  readonly learners: readonly RaftId[];
  readonly learnersNext: readonly RaftId[];
  readonly autoLeave: boolean;
}

/** No voters and no learners: a member that waits to be added to a group. */
export const EMPTY_CONFIG: Config = Object.freeze({
  incoming: [],
  outgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});

/** The empty configuration as it is stored: a member that waits to be added to a group. */
export const EMPTY_CONF_STATE: ConfState = Object.freeze({
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});

/** True between entering a joint configuration and leaving it: two majorities count. */
export function isJoint(config: Config): boolean {
  return config.outgoing.length > 0;
}

/** True for a voter of either half. */
export function isVoter(config: Config, id: RaftId): boolean {
  return config.incoming.includes(id) || config.outgoing.includes(id);
}

/** All voters of both halves, ascending, each once. */
export function allVoters(config: Config): readonly RaftId[] {
  if (config.outgoing.length === 0) return config.incoming;
  let union = config.incoming;
  for (const id of config.outgoing) union = withId(union, id);
  return union;
}

/** The form in which a configuration is stored and sent. */
export function toConfState(config: Config): ConfState {
  return {
    voters: config.incoming,
    votersOutgoing: config.outgoing,
    learners: config.learners,
    learnersNext: config.learnersNext,
    autoLeave: config.autoLeave,
  };
}

/** The configuration behind its stored form, each list ascending. */
export function fromConfState(state: ConfState): Config {
  return {
    incoming: sorted(state.voters),
    outgoing: sorted(state.votersOutgoing),
    learners: sorted(state.learners),
    learnersNext: sorted(state.learnersNext),
    autoLeave: state.autoLeave,
  };
}

function sorted(ids: readonly RaftId[]): readonly RaftId[] {
  return Array.from(new Set(ids)).sort((a, b) => a - b);
}

/** The list with `id`, ascending. */
export function withId(ids: readonly RaftId[], id: RaftId): readonly RaftId[] {
  if (ids.includes(id)) return ids;
  return [...ids, id].sort((a, b) => a - b);
}

/** The list without `id`. */
export function withoutId(ids: readonly RaftId[], id: RaftId): readonly RaftId[] {
  return ids.includes(id) ? ids.filter((other) => other !== id) : ids;
}

/** `voters=(1 2)&&(1) learners=(3) learners_next=(2) autoleave`, as logs and golden tests print it. */
export function describeConfig(config: Config): string {
  const list = (ids: readonly RaftId[]): string => `(${ids.join(" ")})`;
  let text = `voters=${list(config.incoming)}`;
  if (config.outgoing.length > 0) text += `&&${list(config.outgoing)}`;
  if (config.learners.length > 0) text += ` learners=${list(config.learners)}`;
  if (config.learnersNext.length > 0) text += ` learners_next=${list(config.learnersNext)}`;
  if (config.autoLeave) text += " autoleave";
  return text;
}
