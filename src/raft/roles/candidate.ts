import type { Core } from "../core.js";
import { type Message, MessageKind } from "../message.js";
import { handleVoteResponse } from "./election.js";
import { handleAppend, handleHeartbeat, handleSnapshot } from "./follower.js";

/** Messages of the present term, at a candidate or pre-candidate: another leader ends the candidacy. */
export function stepCandidate(core: Core, message: Message): void {
  switch (message.kind) {
    case MessageKind.Append:
      core.becomeFollower(message.term, message.from);
      handleAppend(core, message);
      break;
    case MessageKind.Heartbeat:
      core.becomeFollower(message.term, message.from);
      handleHeartbeat(core, message);
      break;
    case MessageKind.Snapshot:
      core.becomeFollower(message.term, message.from);
      handleSnapshot(core, message);
      break;
    case MessageKind.VoteResponse:
      if (core.role === "candidate") handleVoteResponse(core, message);
      break;
    case MessageKind.PreVoteResponse:
      // A candidate may still receive answers to its pre-votes.
      if (core.role === "pre-candidate") handleVoteResponse(core, message);
      break;
    case MessageKind.ReadIndex:
      core.refuseRead(message.from, message.readRequest, "not-leader");
      break;
    default:
      break;
  }
}
