import type { Replica } from "../replica/index.js";
import type { Runtime, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { planTransfer } from "./transfer-plan.js";

/** What transfers stand on. */
export interface TransferDeps {
  readonly runtime: Runtime;
  readonly replica: Replica;
  /** How long an owner may take to finish what runs and release a session, before it is thawed and asked again. */
  readonly releaseTimeoutMs?: number;
  /**
   * How long it may take at most until a node that says nothing from now on is declared down, with its margin: what a
   * forced transfer may have to wait. Absent: not known, and no plan tells it.
   */
  readonly leaseLeftMs?: (node: string) => number;
}

const RELEASE_TIMEOUT_MS = 5_000;
const CALL_TIMEOUT_MS = 5_000;
/** Safety net behind the events: how often running operations are looked at anyway. */
const LOOK_MS = 100;
/** Sessions frozen at once by one operation: each is frozen only as long as its own hand-over takes. */
const FROZEN_AT_ONCE_MAX = 32;
const ATTEMPTS_MAX = 3;
/** From an operation's begin to its first freeze: clients use it to connect to where they are going. */
const PREPARE_MS = 40;

/** How far this leader has come with one item. */
interface Attempt {
  count: number;
  askedAtMs: number;
}

/**
 * Moves sessions between living nodes (semantics.md D2). An operation is a record in the replicated state; whoever
 * leads drives it, so it survives the node that was asked for it and every change of leader. Driving means: freeze a
 * session in the log, which tells its owner to finish what runs and to release it; the owner's release is what moves it.
 * Nothing here moves a session that its owner has not let go, unless that owner is down.
 */
export class Transfers {
  readonly #runtime: Runtime;
  readonly #replica: Replica;
  readonly #releaseTimeoutMs: number;
  readonly #leaseLeftMs: ((node: string) => number) | undefined;
  readonly #attempts = new Map<string, Attempt>();
  /** When this leader first saw each running operation, on its monotonic clock. */
  readonly #seenMs = new Map<string, number>();
  readonly #endings: (() => void)[];
  #timer: Timer | null = null;
  #driving = false;
  #again = false;

  constructor(deps: TransferDeps) {
    this.#runtime = deps.runtime;
    this.#replica = deps.replica;
    this.#releaseTimeoutMs = deps.releaseTimeoutMs ?? RELEASE_TIMEOUT_MS;
    this.#leaseLeftMs = deps.leaseLeftMs;
    this.#endings = [
      deps.replica.onEvents((events) => {
        if (events.some((event) => WAKING.has(event.kind ?? ""))) this.#wake();
      }),
      deps.replica.onRoleChange(() => this.#wake()),
    ];
    this.#beat();
  }

  stop(): void {
    this.#timer?.cancel();
    for (const end of this.#endings) end();
  }

  /** A dry run, against a state that is at least as new as the call. */
  async plan(request: v1.ITransferRequest): Promise<v1.ITransferPlan> {
    await this.#replica.readBarrier(this.#deadline());
    return planTransfer(this.#replica.state, request, this.#replica.appliedIndex, this.#leaseLeftMs);
  }

  /** Begins the operation that `plan` would print; refuses when the world is not as the caller says. */
  async begin(request: v1.ITransferRequest): Promise<v1.IOperationRecord> {
    const id = request.operationId ?? "";
    const repeated = await this.#known(id);
    if (repeated !== null) return repeated;
    try {
      return await this.#beginNew(request);
    } catch (error) {
      // Asked of another node at the same time, it may have begun there meanwhile, and be what is in its own way here.
      const begun = await this.#known(id).catch(() => null);
      if (begun !== null) return begun;
      throw error;
    }
  }

  async #beginNew(request: v1.ITransferRequest): Promise<v1.IOperationRecord> {
    if (request.force && !request.reason)
      throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, "a forced transfer needs a reason", {
        next: "--reason TEXT",
      });
    const plan = await this.plan(request);
    this.#checkExpectations(request, plan);
    if (request.drain && request.node) await this.#schedule(request.node, request);
    const result = await this.#propose({
      beginOperation: {
        operation: {
          id: request.operationId || this.#newId(),
          kind: request.drain ? "drain" : "transfer",
          reason: request.reason ?? "",
          requestedBy: request.requestedBy ?? "",
          forced: request.force === true,
          wallTime: new Date(this.#runtime.clock.wallMs()).toISOString(),
          items: plan.items ?? [],
        },
      },
    });
    return result.operation ?? {};
  }

  /** Ends a running operation; what it froze and did not move is thawed. */
  async cancel(request: v1.IOperationRequest): Promise<v1.IOperationRecord> {
    const by = request.requestedBy ? ` by ${request.requestedBy}` : "";
    const result = await this.#propose({
      endOperation: { id: request.id ?? "", state: "cancelled", error: `cancelled${by}` },
    });
    return result.operation ?? {};
  }

  async #known(id: string): Promise<v1.IOperationRecord | null> {
    if (id === "") return null;
    await this.#replica.readBarrier(this.#deadline());
    for (const operation of this.#replica.state.operations()) if (operation.id === id) return operation;
    return null;
  }

  #checkExpectations(request: v1.ITransferRequest, plan: v1.ITransferPlan): void {
    const refuse = (code: ErrorCode, message: string, next: string) => {
      throw new HoldfastError(code, message, { next });
    };
    if (request.planHash && request.planHash !== plan.hash)
      refuse(
        ErrorCode.PRECONDITION_FAILED,
        `the plan is now ${plan.hash}, not ${request.planHash}`,
        "look at --dry-run again",
      );
    if ((plan.blockers ?? []).length > 0)
      refuse(
        ErrorCode.PRECONDITION_FAILED,
        (plan.blockers ?? []).join("; "),
        "remove what blocks, then try again",
      );
    if (plan.noChange)
      refuse(
        ErrorCode.NO_CHANGE,
        request.drain ? `${request.node} is drained already` : "everything is where it should go already",
        "nothing to do",
      );
  }

  async #schedule(node: string, request: v1.ITransferRequest): Promise<void> {
    const { reason, requestedBy } = request;
    const command = {
      node,
      cordoned: true,
      draining: true,
      reason: reason ?? "",
      requestedBy: requestedBy ?? "",
    };
    const result = await this.#replica.propose({ scheduleNode: command }, { deadlineMs: this.#deadline() });
    if (result.error && result.error.code !== ErrorCode.NO_CHANGE)
      throw HoldfastError.fromDetail(result.error);
  }

  async #propose(command: v1.ICommand): Promise<v1.ICommandResult> {
    const result = await this.#replica.propose(command, { deadlineMs: this.#deadline() });
    if (result.error) throw HoldfastError.fromDetail(result.error);
    return result;
  }

  #newId(): string {
    const { random } = this.#runtime;
    return `op-${random.below(2 ** 32).toString(16)}${random.below(2 ** 16).toString(16)}`;
  }

  #deadline(): number {
    return this.#runtime.clock.monotonicMs() + CALL_TIMEOUT_MS;
  }

  #beat(): void {
    this.#timer = this.#runtime.scheduler.after(LOOK_MS, () => {
      this.#wake();
      this.#beat();
    });
  }

  /** One look at a time; what happens during one leads to another. */
  #wake(): void {
    this.#again = true;
    if (this.#driving) return;
    this.#driving = true;
    this.#runtime.scheduler.soon(() => void this.#drive());
  }

  async #drive(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      if (!this.#replica.leader().ready) break;
      const running = [...this.#replica.state.operations()].filter((op) => op.state === "running");
      if (running.length === 0) {
        this.#attempts.clear();
        this.#seenMs.clear();
      }
      for (const operation of running) await this.#driveOne(operation);
    }
    this.#driving = false;
  }

  async #driveOne(operation: v1.IOperationRecord): Promise<void> {
    const id = operation.id ?? "";
    let frozen = 0;
    const failures: string[] = [];
    const steps: Promise<unknown>[] = [];
    let open = 0;
    for (const item of operation.items ?? []) {
      const verdict = this.#verdict(operation, item);
      if (verdict.kind === "done") continue;
      if (verdict.kind === "failed") {
        failures.push(verdict.why);
        continue;
      }
      open += 1;
      if (++frozen > FROZEN_AT_ONCE_MAX || steps.length >= limits.batchCommandsMax) continue;
      const command = this.#nextCommand(id, item, verdict.session);
      if (command !== null) steps.push(this.#replica.propose(command, { deadlineMs: this.#deadline() }));
    }
    // A refusal is no news here: the next look sees what has become of it.
    await Promise.all(steps);
    if (open > 0) return;
    const state = failures.length === 0 ? "done" : "failed";
    await this.#replica.propose(
      { endOperation: { id, state, error: failures.join("; ") } },
      { deadlineMs: this.#deadline() },
    );
  }

  #verdict(operation: v1.IOperationRecord, item: v1.IOperationItem): Verdict {
    const session = this.#replica.state.session(item.sessionId ?? 0);
    // What has ended needs no new home.
    if (item.state === "moved" || session === undefined || session.owner === item.to) return { kind: "done" };
    if (item.handleId?.length && !this.#isThere(item)) return { kind: "done" };
    const name = `session ${item.sessionId}`;
    const target = this.#replica.state.node(item.to ?? "");
    if (target?.status !== v1.NodeStatus.NODE_UP)
      return { kind: "failed", why: `${name}: ${item.to} is not up` };
    if (session.frozenBy && session.frozenBy !== operation.id)
      return { kind: "failed", why: `${name}: operation ${session.frozenBy} moves it` };
    if (session.epoch !== item.epochBefore && !operation.forced)
      return { kind: "failed", why: `${name} has moved to ${session.owner} meanwhile` };
    const attempt = this.#attempts.get(keyOf(operation.id ?? "", item));
    if ((attempt?.count ?? 0) > ATTEMPTS_MAX)
      return {
        kind: "failed",
        why: `${name}: ${session.owner} holds its lease and does not release it; stop that node to fence it`,
      };
    return { kind: "open", session };
  }

  /** How long clients still have to connect to where they are going; looked at again when that is over. */
  #prepareLeftMs(id: string): number {
    const nowMs = this.#runtime.clock.monotonicMs();
    const seenMs = this.#seenMs.get(id);
    if (seenMs !== undefined) return seenMs + PREPARE_MS - nowMs;
    this.#seenMs.set(id, nowMs);
    this.#runtime.scheduler.after(PREPARE_MS, () => this.#wake());
    return PREPARE_MS;
  }

  /** Whether a handle that is to leave its session is still open in it. */
  #isThere(item: v1.IOperationItem): boolean {
    const handle = this.#replica.state.handle(item.handleId ?? new Uint8Array(0));
    return handle?.state === v1.HandleState.HANDLE_OPEN && handle.sessionId === item.sessionId;
  }

  /** What to propose now for an item that is not where it should be; null: wait. */
  #nextCommand(id: string, item: v1.IOperationItem, session: v1.ISessionRecord): v1.ICommand | null {
    const { state } = this.#replica;
    const fence: v1.IFence = {
      sessionId: session.id ?? 0,
      epoch: session.epoch ?? 0,
      node: session.owner ?? "",
      nodeIncarnation: session.ownerIncarnation ?? 0,
    };
    const owner = state.node(session.owner ?? "");
    const ownerIsUp =
      owner?.status === v1.NodeStatus.NODE_UP && owner.incarnation === session.ownerIncarnation;
    if (!ownerIsUp) {
      // Declared down means fenced: nobody is left who could act as the owner.
      const toIncarnation = state.node(item.to ?? "")?.incarnation ?? 0;
      const handleId = item.handleId ?? null;
      return {
        moveSession: { fence, handleId, to: item.to ?? "", toIncarnation, operationId: id, forced: true },
      };
    }
    if (session.connected && this.#prepareLeftMs(id) > 0) return null;
    const key = keyOf(id, item);
    const attempt = this.#attempts.get(key) ?? { count: 0, askedAtMs: Number.NEGATIVE_INFINITY };
    const nowMs = this.#runtime.clock.monotonicMs();
    if (nowMs - attempt.askedAtMs < this.#releaseTimeoutMs) return null;
    this.#attempts.set(key, { count: attempt.count + 1, askedAtMs: nowMs });
    // Asked before and not released: thawed, so that its client goes on, and asked again at the next look.
    if (session.frozenBy === id && attempt.count > 0) {
      this.#attempts.set(key, { count: attempt.count, askedAtMs: nowMs - this.#releaseTimeoutMs });
      return { freezeSession: { fence, operationId: id, thaw: true } };
    }
    return { freezeSession: { fence, operationId: id } };
  }
}

type Verdict =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "open"; readonly session: v1.ISessionRecord };

const WAKING: ReadonlySet<string> = new Set([
  "operation-begun",
  "operation-moved",
  "session-moved",
  "session-closed",
  "session-expired",
  "session-replaced",
  "session-frozen",
  "node-down",
]);

function keyOf(operationId: string, item: v1.IOperationItem): string {
  return `${operationId}/${item.sessionId ?? 0}`;
}
