import { Changer } from "../conf/changer.js";
import { type Config, describeConfig, isVoter, toConfState } from "../conf/config.js";
import { restoreConfig } from "../conf/restore.js";
import type { Core } from "../core.js";
import { broken } from "../invariant.js";
import { mutant } from "../mutants.js";
import type { Progress } from "../progress/progress.js";
import type { Tracker } from "../progress/tracker.js";
import {
  type ConfChange,
  type ConfState,
  ConfTransition,
  type Index,
  NONE,
  type RaftId,
  type SnapshotMeta,
} from "../types.js";
import { confirmReads, releaseHeldReads } from "./read-index.js";
import { broadcastAppend, maybeCommit, sendAppend } from "./replication.js";
import { endTransfer } from "./transfer.js";

/**
 * Puts a committed change into force. Configurations take effect when applied, as in etcd. A change that is impossible
 * here would be impossible everywhere, so it means that the members' states have diverged.
 */
export function applyConfChange(core: Core, change: ConfChange | null): ConfState {
  const index = core.confEntries.shift();
  if (index === undefined)
    return broken("configuration change was handed out", core.log.applied, core.log.applying);
  if (change === null) return toConfState(core.config);
  if (core.lead !== null) core.lead.sessions++;
  const changer = new Changer(core.config, core.tracker, core.log.last, core.progressSettings());
  const result = mutant.jointSkipped ? skipJoint(core, change) : changer.apply(change);
  if (!result.ok)
    return broken("committed configuration change is possible", result.error, describeConfig(core.config));
  return switchTo(core, result.config, result.tracker, index);
}

/** For a mutant: the new configuration decides alone from the start. */
function skipJoint(core: Core, change: ConfChange): ReturnType<Changer["apply"]> {
  const settings = core.progressSettings();
  if (change.changes.length === 0) return { ok: true, config: core.config, tracker: core.tracker };
  const joint = new Changer(core.config, core.tracker, core.log.last, settings).enterJoint(
    change.transition !== ConfTransition.JointExplicit,
    change.changes,
  );
  if (!joint.ok) return joint;
  return new Changer(joint.config, joint.tracker, core.log.last, settings).leaveJoint();
}

/** Takes over the configuration of a snapshot. */
export function restoreConfigFrom(core: Core, meta: SnapshotMeta): void {
  const { config, tracker } = restoreConfig(meta.confState, core.log.last, core.progressSettings());
  core.confEntries = [];
  switchTo(core, config, tracker, meta.confIndex ?? meta.index);
}

function switchTo(core: Core, config: Config, tracker: Tracker, index: Index): ConfState {
  core.config = config;
  core.tracker = tracker;
  core.confIndex = index;
  core.trace(`switched to configuration ${describeConfig(config)}`);
  const state = toConfState(config);
  const { lead } = core;
  const own = tracker.get(core.id);
  if (own === undefined || own.isLearner) {
    // Removed or demoted. Without the option it leads on until somebody else takes over.
    if (lead !== null && core.options.stepDownOnRemoval) core.becomeFollower(core.term, NONE);
    return state;
  }
  if (lead === null || config.incoming.length === 0) return state;
  if (maybeCommit(core, lead)) {
    releaseHeldReads(core, lead);
    broadcastAppend(core);
  } else {
    probeAll(core);
  }
  confirmReads(core, lead);
  if (lead.transfer !== null && !isVoter(config, lead.transfer.target))
    endTransfer(core, lead, "target-not-voter");
  return state;
}

/** New members need not wait for the next heartbeat. */
function probeAll(core: Core): void {
  const { ids, items } = core.tracker;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as RaftId;
    if (id !== core.id) sendAppend(core, id, items[i] as Progress, false);
  }
}
