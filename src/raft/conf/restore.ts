import { broken } from "../invariant.js";
import { Progress } from "../progress/progress.js";
import { Tracker } from "../progress/tracker.js";
import type { ConfState, Index } from "../types.js";
import { configError, type ProgressSettings } from "./changer.js";
import { allVoters, type Config, fromConfState } from "./config.js";

/** The configuration and fresh progress for a stored state. A state that no sequence of changes can reach is refused. */
export function restoreConfig(
  state: ConfState,
  lastIndex: Index,
  settings: ProgressSettings,
): { readonly config: Config; readonly tracker: Tracker } {
  const config = fromConfState(state);
  const tracker = new Tracker();
  const { inflightMessagesMax, inflightBytesMax } = settings;
  const add = (id: number, isLearner: boolean): void => {
    if (tracker.get(id) !== undefined) return;
    const progress = new Progress(
      Math.max(lastIndex, 1),
      isLearner,
      0,
      inflightMessagesMax,
      inflightBytesMax,
    );
    progress.recentActive = true;
    tracker.set(id, progress);
  };
  for (const id of allVoters(config)) add(id, false);
  for (const id of config.learners) add(id, true);
  const error = configError(config, tracker);
  if (error !== null) broken("stored configuration is possible", error, JSON.stringify(state));
  return { config, tracker };
}
