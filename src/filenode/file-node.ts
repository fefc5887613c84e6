import { HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { FileChannel, FileNode, PeerInfo } from "./api.js";
import { Channel } from "./channel.js";
import { type FileNodeOptions, NodeCore } from "./core.js";
import { cleanLeavings } from "./effects/index.js";
import { effectNeeded, type EventsEnv, lockPrepare, onEvent, questionOf } from "./events.js";
import { dropSession, loadSession } from "./load-session.js";
import { sessionFrozen } from "./release.js";
import type { OwnedSession } from "./sessions.js";

export type { FileNodeOptions } from "./core.js";

const UNFINISHED_RETRY_MS = 500;
/** After a load, until effects that nobody has taken up meanwhile count as left. */
const MISSED_LOOK_MS = 1000;
const LOAD_RETRY_MS = 200;
/** What runs may take so long at an orderly stop; a hung share must not keep the process. */
const STOP_DRAIN_MS = 2000;

/**
 * A file node behind one door: access protocols open channels, the coordinator holds the state, the shares hold the
 * data. Runs unchanged on real files and in the simulation.
 */
export class FileNodeImpl implements FileNode, EventsEnv {
  readonly core: NodeCore;
  private readonly channels = new Map<number, Channel>();
  private nextChannel = 1;
  private endWatch: () => void = () => {};
  private endLost: () => void = () => {};
  /** Resolves when the sweep that was asked for last has ended. */
  swept: Promise<void> = Promise.resolve();
  private retry: { cancel(): void } | null = null;

  constructor(options: FileNodeOptions) {
    this.core = new NodeCore(options);
  }

  /**
   * Begins to follow the state and loads what this incarnation owns; to be called once the node is registered. Called
   * again after a new registration it lets go of everything and starts over.
   */
  async start(): Promise<void> {
    this.endWatch();
    this.endLost();
    this.dropAll("the node registered anew");
    this.endLost = this.core.options.lease.onLost(() => this.dropAll("the node lost its lease"));
    this.endWatch = this.core.options.coordinator.watch(this.core.node, {
      onEvents: (events) => {
        for (const event of events) onEvent(this, event);
      },
      onResync: () => {
        this.core.pending.resync();
        void this.loadUntilDone();
      },
    });
    this.armRetry();
    await this.loadUntilDone();
  }

  connect(peer: PeerInfo, notify: (response: v1.IFileResponse) => void): FileChannel {
    const id = this.nextChannel++;
    const channel = new Channel(this.core, id, peer, notify, (closed) => this.channels.delete(closed.id));
    this.channels.set(id, channel);
    return channel;
  }

  channelOfSession(sessionId: number): FileChannel | undefined {
    for (const id of this.core.sessions.get(sessionId)?.channels ?? []) return this.channels.get(id);
    return undefined;
  }

  async stop(): Promise<boolean> {
    this.core.stopping = true;
    for (const channel of this.channels.values())
      channel.notify({ id: 0, notice: { closing: `${this.core.node} is stopping` } });
    const drained = Promise.all([...this.core.sessions.values()].map((session) => session.running.drained()));
    const late = new Promise<void>((resolve) => {
      this.core.options.runtime.scheduler.after(STOP_DRAIN_MS, resolve);
    });
    await Promise.race([drained, late]);
    const quiet = await Promise.race([this.core.giveUp().then(() => true), late.then(() => false)]);
    this.endWatch();
    this.endLost();
    this.retry?.cancel();
    for (const channel of [...this.channels.values()]) channel.close();
    return quiet;
  }

  notify(session: OwnedSession, notice: v1.INotice): boolean {
    for (const id of session.channels) this.channels.get(id)?.notify({ id: 0, notice });
    return session.channels.size > 0;
  }

  // Without what it owns a node serves nobody whom it inherited: it asks until it is told.
  private async loadUntilDone(): Promise<void> {
    for (;;) {
      try {
        return await this.load();
      } catch (error) {
        this.core.options.runtime.log.warn(
          { error: String(error) },
          "what this node owns cannot be loaded yet",
        );
        if (this.core.stopping) return;
        await new Promise<void>((resolve) => {
          this.core.options.runtime.scheduler.after(LOAD_RETRY_MS, resolve);
        });
      }
    }
  }

  // Everything that this incarnation owns, with the effects that belong to no session that is still there.
  private async load(): Promise<void> {
    const { core } = this;
    const { incarnation } = core.options.lease;
    const before = [...core.sessions.values()];
    const answer = await core.options.coordinator.query({ owned: { node: core.node, incarnation } });
    if (answer.error) throw HoldfastError.fromDetail(answer.error);
    core.noteRevision(answer.revision);
    const owned = new Set<number>();
    for (const record of answer.sessions ?? []) {
      owned.add(record.id ?? 0);
      const known = core.sessions.get(record.id ?? 0);
      if (known === undefined || known.epoch < (record.epoch ?? 0)) loadSession(core, record);
      // The event that says so may be among those that were skipped; unheard, the move waits until it is given up.
      sessionFrozen(core, record);
    }
    for (const session of before) if (!owned.has(session.id)) dropSession(core, session);
    const missed = new Set<number>();
    for (const effect of answer.effects ?? [])
      if (!core.sessions.has(effect.sessionId ?? 0)) void effectNeeded(core, effect);
      else missed.add(effect.id ?? 0);
    if (missed.size > 0) this.lookAgain(missed);
    for (const pending of answer.pending ?? [])
      void lockPrepare(core, questionOf(pending), answer.revision ?? 0, true);
    this.sweep();
  }

  // A snapshot may have skipped the answer to whoever began an effect, or the event that asks for it: nobody works on it,
  // and it blocks its names. What a call does work on comes to an end by itself meanwhile.
  private lookAgain(missed: ReadonlySet<number>): void {
    const { core } = this;
    core.options.runtime.scheduler.after(MISSED_LOOK_MS, () => {
      void (async () => {
        const { incarnation } = core.options.lease;
        const answer = await core.options.coordinator.query({ owned: { node: core.node, incarnation } });
        if (answer.error && !core.stopping) this.lookAgain(missed);
        for (const effect of answer.effects ?? [])
          if (missed.has(effect.id ?? 0) && !core.isRunning(effect.id ?? 0)) void effectNeeded(core, effect);
      })();
    });
  }

  /** Clears away what effects of dead nodes left beside their outcome; several nodes may do it at once. */
  sweep(): void {
    this.swept = this.swept.then(() => this.sweepOnce());
  }

  // What cannot be swept now is swept after the next death or start.
  private async sweepOnce(): Promise<void> {
    const pending = async () => {
      const answer = await this.core.options.coordinator.query({ effects: {} });
      if (answer.error) throw HoldfastError.fromDetail(answer.error);
      return new Set((answer.effects ?? []).map((effect) => effect.id ?? 0));
    };
    for (const vfs of this.core.options.shares.values()) await cleanLeavings(vfs, pending).catch(() => 0);
  }

  private dropAll(reason: string): void {
    for (const session of [...this.core.sessions.values()]) {
      dropSession(this.core, session);
      this.notify(session, { closing: reason });
    }
  }

  private armRetry(): void {
    this.retry?.cancel();
    this.retry = this.core.options.runtime.scheduler.after(UNFINISHED_RETRY_MS, () => {
      for (const effect of this.core.takeUnfinished()) void effectNeeded(this.core, effect);
      this.armRetry();
    });
  }
}

/** Builds a file node; call `start` once its lease keeper has registered it. */
export function createFileNode(options: FileNodeOptions): FileNodeImpl {
  return new FileNodeImpl(options);
}
