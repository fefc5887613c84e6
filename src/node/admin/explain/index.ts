import { ErrorCode, HoldfastError } from "../../../wire/errors.js";
import type { v1 } from "../../../wire/index.js";
import { findHandle, findNode, findSession } from "./find.js";
import { explainHandle } from "./handle.js";
import { explainLeader } from "./leader.js";
import { explainNode } from "./node.js";
import { explainSession } from "./session.js";
import type { ExplainWorld } from "./world.js";

export type { ExplainWorld, LeadershipView, LeaderNote } from "./world.js";

/** Why something is where it is and in the state it is in. Rejects when there is no such thing. */
export async function explain(
  world: ExplainWorld,
  request: v1.IExplainRequest,
  pause: () => Promise<void>,
): Promise<v1.IExplainReply> {
  const id = request.id ?? "";
  switch (request.kind) {
    case "session":
      return explainSession(world, findSession(world.state, id));
    case "handle":
      return explainHandle(world, await findHandle(world.state, world.events, id, pause));
    case "node":
      return explainNode(world, findNode(world.state, world.events, id));
    case "leader":
      return explainLeader(world);
    default:
      throw new HoldfastError(
        ErrorCode.INVALID_ARGUMENT,
        `there is nothing called ${JSON.stringify(request.kind ?? "")} to explain`,
        { next: "holdfast explain session|handle|node ID, or holdfast explain leader" },
      );
  }
}
