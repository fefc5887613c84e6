import { DISK_LOW } from "../../../replica/problems.js";
import type { v1 } from "../../../wire/index.js";
import { reply, step } from "./text.js";
import type { ExplainWorld, LeadershipView } from "./world.js";

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
  const unready = at.leaderId === at.self && !at.ready;
  const reads = unready ? " It has not committed an entry of its term yet, so it does not answer reads." : "";
  const ill = problemsOf(at);
  return reply(
    steps,
    `${name(at.leaderId)} leads in term ${at.term}, as ${name(at.self)} sees it; ${needed}.${how}${reads}${ill.text}`,
    unready ? "holdfast status shows which voters do not answer" : ill.next,
  );
}

/** What the leader lacks for leading well. Only the leader itself knows. */
function problemsOf({ self, leaderId, problems }: LeadershipView): { text: string; next: string } {
  if (leaderId !== self || problems.length === 0)
    return { text: "", next: "nothing needs doing; to move it: holdfast leader move" };
  const text = ` It is not well: ${problems.join("; ")}.`;
  if (!problems.includes(DISK_LOW)) return { text, next: "holdfast leader move hands over to another voter" };
  return {
    text: `${text} Opens and locks are refused everywhere while the leader's disk is full.`,
    next: "free space on its disk; meanwhile holdfast leader move --to NODE, to one with room",
  };
}
