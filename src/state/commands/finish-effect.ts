import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { finishEffect as finish } from "../mechanics/finishing.js";
import { fail, type Tx } from "../tx.js";
import { bytesProblem, firstProblem, type Problem } from "../validate.js";

/** The outcome of an effect, from the node that has to know it: its present owner, and nobody who was it before. */
export function finishEffect(tx: Tx, command: v1.IFinishEffect): v1.ICommandResult {
  const effect = tx.store.effects.byId.get(command.effectId ?? 0);
  if (effect === undefined)
    return fail(ErrorCode.NO_CHANGE, `effect ${command.effectId ?? 0} has its outcome already`, {
      next: "repeat the call that began it to get its answer",
    });
  const r = effect.r;
  if (r.owner !== command.node || r.ownerIncarnation !== command.nodeIncarnation)
    return fail(ErrorCode.NOT_OWNER, `effect ${r.id} belongs to ${r.owner}/${r.ownerIncarnation}`, {
      owner: tx.store.address(r.owner),
    });
  const problem = firstProblem(
    bytesProblem("outcome", command.outcome, limits.replyBytesMax / 2),
    actionProblem(command.createAction ?? 0),
  );
  if (problem !== null) return problem;
  return finish(tx, effect, command);
}

/** A handle keeps it in a few bits: one that does not exist would stop every member at this entry, at each start anew. */
function actionProblem(action: v1.CreateAction): Problem {
  if (v1.CreateAction[action] !== undefined) return null;
  return fail(ErrorCode.INVALID_ARGUMENT, `create action ${action} is unknown`);
}
