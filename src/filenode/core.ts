import type { CoordinatorClient } from "../coordinator/api.js";
import type { Runtime } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import type { NodeLease, Vfs } from "./api.js";
import { effectReply } from "./effects/reply.js";
import { crashPoint } from "./crash-points.js";
import { cleanEffect, type EffectOutcome, performEffect, resolveEffect } from "./effects/index.js";
import { FileNews } from "./file-news.js";
import { Gone } from "./gone.js";
import { TakenBack } from "./effects/outcome.js";
import { KernelGate } from "./kernel-gate.js";
import { filenodeMutants } from "./mutants.js";
import { OpenFiles } from "./open-file.js";
import { type FilenodeLimits, filenodeLimits } from "./options.js";
import { guardedVfs } from "./vfs/guarded-vfs.js";
import { Pauses } from "./pauses.js";
import { PendingCalls } from "./pending-calls.js";
import type { OpenHandle, OwnedSession } from "./sessions.js";
import { Signal } from "./signal.js";

/** What a file node stands on. */
export interface FileNodeOptions {
  /** The node's name. */
  readonly node: string;
  readonly runtime: Runtime;
  readonly coordinator: CoordinatorClient;
  readonly lease: NodeLease;
  /** The shares that this node reaches, by name. */
  readonly shares: ReadonlyMap<string, Vfs>;
  readonly limits?: Partial<FilenodeLimits>;
  /**
   * "copy-on-takeover": a file that a dead owner had open for writing, and nobody else has, goes on as a copy, so that
   * late writes of the old owner land in a file without a name. Default "none".
   */
  readonly fence?: "none" | "copy-on-takeover";
}

const FINISHED_KEPT = 10_000;

/** Parts of the file node that all calls share. */
export class NodeCore {
  readonly limits: FilenodeLimits;
  readonly sessions = new Map<number, OwnedSession>();
  readonly files = new OpenFiles();
  readonly news = new FileNews();
  readonly pending = new PendingCalls();
  readonly gone = new Gone();
  /** Some session's client is away now, or it has another owner. */
  readonly sessionLet = new Signal();
  readonly pauses: Pauses;
  readonly writeGate: KernelGate;
  readonly readGate: KernelGate;
  /** Bytes of all writes that wait or run. */
  queuedWriteBytes = 0;
  /** Handles whose descriptor is open, in order of use. */
  readonly descriptors = new Set<OpenHandle>();
  stopping = false;
  /** What this node is known to have applied, at least: goes with what it saw of a file (semantics.md C4). */
  revision = 0;
  /** Effects under way here, so that a call and an event for the same effect do not run it twice. */
  private readonly effects = new Map<number, Promise<v1.ICommandResult>>();
  private readonly finished = new Set<number>();
  private readonly unfinished = new Map<number, v1.IEffectRecord>();
  /** What effects that were performed came to, as long as nobody knows whether the log has taken it. */
  private readonly performed = new Map<number, Performed>();

  constructor(readonly options: FileNodeOptions) {
    this.limits = { ...filenodeLimits, ...options.limits };
    const { runtime, coordinator, node, lease } = options;
    this.pauses = new Pauses({ runtime, coordinator, node, incarnation: () => lease.incarnation });
    this.writeGate = new KernelGate(this.limits.writesInKernelMax);
    this.readGate = new KernelGate(this.limits.readsInKernelMax);
  }

  get node(): string {
    return this.options.node;
  }

  private givenUp = false;

  /** The share's file system; throws UNKNOWN_SHARE. */
  vfs(share: string): Vfs {
    const vfs = this.options.shares.get(share);
    if (vfs !== undefined) return vfs;
    const known = [...this.options.shares.keys()].join(", ");
    throw new HoldfastError(ErrorCode.UNKNOWN_SHARE, `no share ${JSON.stringify(share)} on ${this.node}`, {
      next: `use one of: ${known}`,
    });
  }

  noteRevision(revision: number | null | undefined): void {
    if (revision && revision > this.revision) this.revision = revision;
  }

  /**
   * Nothing begins from here on, also not what has waited for something and wakes up now. Resolves when nothing that had
   * begun is in the kernel any more: only then may another node be told to go on with what this one owned.
   */
  async giveUp(): Promise<void> {
    this.givenUp = true;
    while (this.effects.size > 0 || this.writeGate.busy > 0) {
      await Promise.allSettled(this.effects.values());
      await new Promise<void>((resolve) => this.options.runtime.scheduler.after(GIVE_UP_LOOK_MS, resolve));
    }
  }

  /** Throws unless this node may serve now and still owns the session (design section 5). */
  admit(session: OwnedSession | null): void {
    if (this.givenUp || this.options.lease.leftMs() <= 0)
      throw new HoldfastError(ErrorCode.LEASE_LOST, `${this.node} does not hold its node lease now`, {
        next: "go to another node",
        node: this.node,
        retryAfterMs: 100,
      });
    if (session === null) return;
    if (session.gone || session.nodeIncarnation !== this.options.lease.incarnation)
      throw new HoldfastError(ErrorCode.NOT_OWNER, `session ${session.id} has left ${this.node}`, {
        node: this.node,
      });
  }

  // A stopped process finds a lease when it goes on, if it has registered anew by then: not the one it began under.
  private admitWhile(session: OwnedSession | null, incarnation: number): () => void {
    return () => {
      if (filenodeMutants.lateWriteAfterTakeover) return;
      this.admit(session);
      if (this.options.lease.incarnation !== incarnation)
        throw new HoldfastError(ErrorCode.NOT_OWNER, `${this.node} has registered anew since this began`, {
          node: this.node,
        });
    };
  }

  /** The same question before an answer leaves. */
  admitReply(session: OwnedSession | null): void {
    if (!filenodeMutants.noLeaseCheckBeforeReply) this.admit(session);
  }

  /** Executes a command; throws what the state answered as an error. */
  async execute(command: v1.ICommand, deadlineMs?: number): Promise<v1.ICommandResult> {
    const result = await this.options.coordinator.execute(command, deadlineMs);
    this.noteRevision(result.revision);
    if (result.error) throw HoldfastError.fromDetail(result.error);
    return result;
  }

  /** Performs an effect that the state has announced, records its outcome, and answers what the record says then. */
  perform(
    record: v1.IEffectRecord,
    session: OwnedSession | null,
    data?: Uint8Array,
  ): Promise<v1.ICommandResult> {
    // Its announcement came so late that the effect was resolved as one that nobody works on. Done now it would be done
    // behind the back of the state; the repeat of the call finds what is on record.
    if (this.finished.has(record.id ?? 0))
      return Promise.reject(
        new HoldfastError(ErrorCode.OUTCOME_UNKNOWN, `${record.path}: the effect has ended already`, {
          retryAfterMs: 1,
        }),
      );
    return this.runEffect(record, session, (vfs) => performEffect(vfs, record, data));
  }

  /** Ends an effect that somebody else left. */
  resolve(record: v1.IEffectRecord, session: OwnedSession | null): Promise<v1.ICommandResult> {
    return this.runEffect(record, session, (vfs) => resolveEffect(vfs, record));
  }

  /** True for an error after which nobody knows whether the log has taken a command: it may be sent again. */
  undecided(error: HoldfastError): boolean {
    return LOG_DID_NOT_TAKE.has(error.code);
  }

  /** True while a call or a resolver works on this effect. */
  isRunning(effectId: number): boolean {
    return this.effects.has(effectId);
  }

  /** True for an effect whose outcome this process has recorded lately. */
  wasFinished(effectId: number): boolean {
    return this.finished.has(effectId);
  }

  /** Nobody knows how far this effect came, and it is still this node's: it is tried again later. */
  leaveUnfinished(record: v1.IEffectRecord): void {
    this.unfinished.set(record.id ?? 0, record);
  }

  /** Takes the effects that are to be tried again. */
  takeUnfinished(): v1.IEffectRecord[] {
    const records = [...this.unfinished.values()];
    this.unfinished.clear();
    return records;
  }

  /** True when an effect that failed with this error is on record as failed: nothing of it is left to do. */
  recordedAsFailed(error: HoldfastError): boolean {
    return !stays(error.code);
  }

  /** True when an effect that was to be announced and performed, and ended with this error, is not under way any more. */
  endedFor(error: HoldfastError): boolean {
    return !stays(error.code) && !LOG_DID_NOT_TAKE.has(error.code);
  }

  private runEffect(
    record: v1.IEffectRecord,
    session: OwnedSession | null,
    act: (vfs: Vfs) => Promise<EffectOutcome>,
  ): Promise<v1.ICommandResult> {
    const id = record.id ?? 0;
    const running = this.effects.get(id);
    if (running !== undefined) return running;
    const promise = this.actAndFinish(record, session, act).finally(() => this.effects.delete(id));
    this.effects.set(id, promise);
    return promise;
  }

  private async actAndFinish(
    record: v1.IEffectRecord,
    session: OwnedSession | null,
    act: (vfs: Vfs) => Promise<EffectOutcome>,
  ): Promise<v1.ICommandResult> {
    crashPoint("intent.recorded");
    const vfs = this.vfs(record.share ?? "");
    const { finish, failure } = this.performedHere(record) ?? (await this.act(record, session, vfs, act));
    crashPoint("effect.performed");
    const result = await this.finish(record, finish, failure);
    this.noteFinished(record.id ?? 0);
    crashPoint("outcome.recorded");
    if (!filenodeMutants.outcomeLost) await this.clean(vfs, record);
    crashPoint("effect.cleaned");
    if (failure !== null) throw failure;
    return result;
  }

  // The log may have taken the outcome without this node's knowledge, and others may have gone on from there: a file that
  // is created once more has been removed meanwhile. Only the outcome is sent again, and refused if it is on record.
  private performedHere(record: v1.IEffectRecord): Performed | null {
    const performed = this.performed.get(record.id ?? 0);
    return performed?.incarnation === this.options.lease.incarnation ? performed : null;
  }

  private async act(
    record: v1.IEffectRecord,
    session: OwnedSession | null,
    vfs: Vfs,
    act: (vfs: Vfs) => Promise<EffectOutcome>,
  ): Promise<Performed> {
    const { incarnation } = this.options.lease;
    const mayGoOn = this.admitWhile(session, incarnation);
    try {
      const outcome = await this.writeGate.run(
        () => mayGoOn(),
        () => act(guardedVfs(vfs, mayGoOn)),
      );
      return { incarnation, finish: finishOf(record, outcome), failure: null };
    } catch (thrown) {
      const failure = HoldfastError.from(thrown);
      // Nobody knows how far it came, or it may not be finished from here: it stays pending for a resolver.
      if (stays(failure.code)) {
        this.leaveUnfinished(record);
        throw failure;
      }
      const finish = {
        effectId: record.id ?? 0,
        error: failure.toDetail(),
        takenBack: failure instanceof TakenBack,
      };
      return { incarnation, finish, failure };
    }
  }

  private noteFinished(effectId: number): void {
    // An earlier attempt may have left it for later. Resolved once more it would take back what stands there since.
    this.unfinished.delete(effectId);
    this.finished.add(effectId);
    if (this.finished.size <= FINISHED_KEPT) return;
    const oldest = this.finished.values().next().value;
    if (oldest !== undefined) this.finished.delete(oldest);
  }

  private async finish(
    record: v1.IEffectRecord,
    finish: v1.IFinishEffect,
    failure: HoldfastError | null,
  ): Promise<v1.ICommandResult> {
    if (filenodeMutants.outcomeLost) return { effect: { fileId: finish.fileId ?? "" } };
    const result = await this.options.coordinator.execute({
      finishEffect: { ...finish, node: this.node, nodeIncarnation: this.options.lease.incarnation },
    });
    this.noteRevision(result.revision);
    if (result.error && LOG_DID_NOT_TAKE.has(result.error.code ?? 0))
      this.performed.set(record.id ?? 0, { incarnation: this.options.lease.incarnation, finish, failure });
    else this.performed.delete(record.id ?? 0);
    // A recorded failure comes back as the answer to whoever asked for the effect: it is recorded all the same.
    const recorded = failure !== null && result.error?.message === failure.message;
    if (result.error && !recorded) throw this.unrecorded(record, HoldfastError.fromDetail(result.error));
    return result;
  }

  // Performed, but the log did not take that: until it does, the effect blocks its names, and its caller may never ask
  // again. "Not done" would be a lie.
  private unrecorded(record: v1.IEffectRecord, error: HoldfastError): HoldfastError {
    if (!LOG_DID_NOT_TAKE.has(error.code)) return error;
    this.leaveUnfinished(record);
    return new HoldfastError(
      ErrorCode.OUTCOME_UNKNOWN,
      `${record.path}: the outcome is not on record yet: ${error.message}`,
      { retryAfterMs: 50, cause: error },
    );
  }

  // What is left behind is swept up later; it is no reason to fail a call that worked.
  private async clean(vfs: Vfs, record: v1.IEffectRecord): Promise<void> {
    try {
      await cleanEffect(vfs, record.id ?? 0, record);
    } catch (error) {
      this.options.runtime.log.warn(
        { effect: record.id, error: String(error) },
        "temporary names of an effect remain",
      );
    }
  }
}

/** Between two looks whether the kernel is done with what was begun. */
const GIVE_UP_LOOK_MS = 5;

function stays(code: ErrorCode): boolean {
  return (
    code === ErrorCode.STORAGE_FAILED ||
    code === ErrorCode.LEASE_LOST ||
    code === ErrorCode.NOT_OWNER ||
    code === ErrorCode.INTERNAL ||
    code === ErrorCode.OUTCOME_UNKNOWN ||
    code === ErrorCode.UNKNOWN_SHARE
  );
}

/** Answers to a command that is not in the log, or may be. */
const LOG_DID_NOT_TAKE: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.NO_QUORUM,
  ErrorCode.NOT_LEADER,
  ErrorCode.OVERLOADED,
  ErrorCode.DEADLINE_EXCEEDED,
  ErrorCode.OUTCOME_UNKNOWN,
  ErrorCode.STOPPING,
]);

interface Performed {
  /** Under which it was performed: a later one may have inherited the effect from somebody who took it back. */
  readonly incarnation: number;
  readonly finish: v1.IFinishEffect;
  readonly failure: HoldfastError | null;
}

// An earlier attempt may have put it elsewhere.
function stood(record: v1.IEffectRecord, { offset }: EffectOutcome): v1.IEffectRecord {
  return offset === undefined ? record : { ...record, offset };
}

function finishOf(record: v1.IEffectRecord, outcome: EffectOutcome): v1.IFinishEffect {
  return {
    effectId: record.id ?? 0,
    fileId: outcome.fileId,
    size: outcome.size,
    directory: outcome.directory,
    ...(record.handleId?.length && record.kind === v1.EffectKind.EFFECT_DELETE
      ? {} // The close that set it off has stored its own answer.
      : { outcome: v1.FileResponse.encode(effectReply(stood(record, outcome))).finish() }),
    ...(outcome.createAction === undefined ? {} : { createAction: outcome.createAction }),
  };
}
