import type { v1 } from "../../../wire/index.js";
import { reply, step } from "./text.js";
import type { ExplainWorld } from "./world.js";

/** Who leads the consensus group, since when, and what brought it there; or why nobody does. */
export function explainLeader(world: ExplainWorld): v1.IExplainReply {
  const { leadership: at } = world;
  const names = new Map([...world.state.members()].map((member) => [member.raftId ?? 0, member.name ?? ""]));
  const name = (id: number) => names.get(id) || `member ${id}`;
  const steps = at.notes.map((note) => step(note.revision, note.clusterTimeMs, note.text));
  const voters = at.voters.map(name).join(", ");
  const majority = Math.floor(at.voters.length / 2) + 1;
  if (at.leaderId === 0)
    return reply(
      steps,
      `${name(at.self)} knows of no leader in term ${at.term}: ${majority} of the voters ${voters} have to reach each other to elect one. Nothing can be changed until then.`,
      "holdfast status shows who does not answer; start those (holdfast node --config FILE)",
    );
  // Not how many may fail: some may have failed already, which this node need not know.
  const needed = `${majority} of its ${at.voters.length} voters are needed`;
  const how = at.leaderId === at.self ? ` Its election: ${at.cause}.` : "";
  const unready =
    at.leaderId === at.self && !at.ready
      ? " It has not committed an entry of its term yet, so it does not answer reads."
      : "";
  return reply(
    steps,
    `${name(at.leaderId)} leads in term ${at.term}, as ${name(at.self)} sees it; ${needed}.${how}${unready}`,
    unready === ""
      ? "nothing needs doing; to move it: holdfast leader move"
      : "holdfast status shows which voters do not answer",
  );
}
