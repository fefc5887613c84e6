import assert from "node:assert/strict";
import { explain, type ExplainWorld, type LeadershipView } from "../../../src/node/admin/explain/index.js";
import { v1 } from "../../../src/wire/index.js";
import { World } from "../../state/harness.js";

/** The real state machine, and the events that a node would have kept of it. */
export class Scene extends World {
  // Declared only: the constructor of World runs commands before an initialiser here would run.
  declare kept: v1.IEvent[];

  override run(command: v1.ICommand): v1.ICommandResult {
    const result = super.run(command);
    this.kept ??= [];
    this.kept.push(...this.events);
    return result;
  }

  picture(leadership: Partial<LeadershipView> = {}): ExplainWorld {
    return {
      state: this.machine,
      events: this.kept,
      nowMs: this.nowMs,
      leadership: {
        self: 1,
        leaderId: 1,
        term: 4,
        ready: true,
        problems: [],
        voters: [1, 2, 3],
        learners: [],
        cause: "none since this process started",
        notes: [],
        ...leadership,
      },
    };
  }

  /** The explanation as text: a line a step, the summary, what to do next. */
  async explain(kind: string, id: string | number, leadership?: Partial<LeadershipView>): Promise<string> {
    const request = { kind, id: String(id) };
    const reply = await explain(this.picture(leadership), request, () => Promise.resolve());
    const steps = (reply.steps ?? []).map((step) => `${step.revision}  ${step.text}`);
    return [...steps, reply.summary, `Next: ${reply.next}`].join("\n");
  }

  /** A transfer of one session up to its freeze. */
  beginTransfer(sessionId: number, to: string, id = "op-1"): void {
    const session = this.machine.session(sessionId);
    assert(session);
    const item = { sessionId, from: session.owner ?? "", to, epochBefore: session.epoch ?? 0 };
    const operation = { id, kind: "transfer", reason: "disk swap", requestedBy: "ops", items: [item] };
    this.ok({ beginOperation: { operation } });
    this.ok({ freezeSession: { fence: this.fenceOf(session), operationId: id } });
  }

  finishTransfer(sessionId: number, to: string, id = "op-1"): void {
    const session = this.machine.session(sessionId);
    assert(session);
    this.ok({
      moveSession: { fence: this.fenceOf(session), to, operationId: id, fenceUs: 7_000 },
    });
    this.ok({ endOperation: { id, state: "done" } });
  }

  private fenceOf(session: v1.ISessionRecord): v1.IFence {
    const { id, epoch, owner, ownerIncarnation } = session;
    return {
      sessionId: id ?? 0,
      epoch: epoch ?? 0,
      node: owner ?? "",
      nodeIncarnation: ownerIncarnation ?? 0,
    };
  }
}
