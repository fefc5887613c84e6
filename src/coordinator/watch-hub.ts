import type { Scheduler } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";
import type { CoordinatorConfig } from "./config.js";

/** What a watch wants to see. */
export interface WatchFilter {
  /** Events addressed to this node or to all; empty: all events. */
  readonly node: string;
  /** Kinds; empty: all. */
  readonly kinds: ReadonlySet<string>;
  /** Of what concerns sessions, this one alone; left out: all. */
  readonly session?: number;
}

/** Where a watch's answers go. False: nothing more can be taken now; `resume` of the watch is called when it can. */
export type WatchSink = (response: v1.IWatchResponse) => boolean;

interface Kept {
  readonly revision: number;
  readonly events: readonly v1.IEvent[];
}

/**
 * Events of the last revisions, and everybody who watches. Each watch gets them in order, none left out, none twice.
 * What cannot be given any more (it is too old, a snapshot skipped it, or the watch is too slow) is never silently
 * left out: the watch is told to load anew from a revision, and goes on from there (field-notes 3.6).
 */
export class WatchHub {
  private kept: Kept[] = [];
  private keptEvents = 0;
  /** Events of revisions up to and with this one are not kept. */
  private floor: number;
  private readonly watches = new Set<Watch>();
  /** Those that look at one session: a takeover of thousands of sessions must not be shown whole to thousands. */
  private readonly bySession = new Map<number, Set<Watch>>();

  constructor(
    readonly config: CoordinatorConfig,
    private readonly scheduler: Scheduler,
    startRevision: number,
    private readonly appliedIndex: () => number,
    private readonly incarnation: () => string,
  ) {
    this.floor = startRevision;
  }

  /** What one command did. */
  push(events: readonly v1.IEvent[], revision: number): void {
    this.kept.push({ revision, events });
    this.keptEvents += events.length;
    while (this.keptEvents > this.config.eventsKeptMax && this.kept.length > 1) {
      const oldest = this.kept.shift() as Kept;
      this.keptEvents -= oldest.events.length;
      this.floor = oldest.revision;
    }
    for (const watch of this.watches) if (watch.session === undefined) watch.offer(events, revision);
    if (this.bySession.size > 0) this.pushToSessions(events, revision);
  }

  /** Each gets what is its own together with what is everybody's, at once: a resume revision must not fall in between. */
  private pushToSessions(events: readonly v1.IEvent[], revision: number): void {
    const everybodys = events.filter((event) => !event.sessionId);
    const own = new Map<number, v1.IEvent[]>();
    for (const event of events) {
      const id = event.sessionId ?? 0;
      if (id === 0 || !this.bySession.has(id)) continue;
      const list = own.get(id);
      if (list === undefined) own.set(id, [...everybodys, event]);
      else list.push(event);
    }
    if (everybodys.length === 0 && own.size === 0) return;
    const ids = everybodys.length > 0 ? [...this.bySession.keys()] : [...own.keys()];
    for (const id of ids)
      for (const watch of this.bySession.get(id) ?? []) watch.offer(own.get(id) ?? everybodys, revision);
  }

  /** A snapshot replaced the state: whatever happened in between is unknown here. */
  resync(revision: number): void {
    this.kept = [];
    this.keptEvents = 0;
    this.floor = revision;
    for (const watch of this.watches) watch.resync(revision);
  }

  /** Events of one subscriber after `fromRevision`; zero: from now on. */
  watch(fromRevision: number, filter: WatchFilter, sink: WatchSink): Watch {
    const now = this.appliedIndex();
    const watch = new Watch(filter, sink, this.config.watchQueueMax, () => this.head());
    this.watches.add(watch);
    if (filter.session !== undefined) {
      const same = this.bySession.get(filter.session) ?? new Set();
      this.bySession.set(filter.session, same.add(watch));
    }
    if (fromRevision === 0) {
      watch.progress(now);
    } else if (fromRevision < this.floor || fromRevision > now) {
      // A revision of the future comes from another life of the cluster, or from a member that is ahead of this one.
      watch.resync(now);
    } else {
      for (const { revision, events } of this.kept)
        if (revision > fromRevision) watch.offer(events, revision);
      watch.progress(now);
    }
    this.beat(watch);
    return watch;
  }

  private beat(watch: Watch): void {
    this.scheduler.after(this.config.watchProgressMs, () => {
      if (!this.watches.has(watch)) return;
      watch.progress(this.appliedIndex());
      this.beat(watch);
    });
  }

  unwatch(watch: Watch): void {
    this.watches.delete(watch);
    watch.close();
    const same = watch.session === undefined ? undefined : this.bySession.get(watch.session);
    if (same?.delete(watch) && same.size === 0) this.bySession.delete(watch.session as number);
  }

  get count(): number {
    return this.watches.size;
  }

  private head(): { readonly revision: number; readonly incarnation: string } {
    return { revision: this.appliedIndex(), incarnation: this.incarnation() };
  }
}

/** One subscriber: a bounded queue in front of a sink that may be slow. */
export class Watch {
  private queue: v1.IEvent[] = [];
  private lagging = false;
  private blocked = false;
  private closed = false;

  constructor(
    private readonly filter: WatchFilter,
    private readonly sink: WatchSink,
    private readonly queueMax: number,
    private readonly head: () => { readonly revision: number; readonly incarnation: string },
  ) {}

  get session(): number | undefined {
    return this.filter.session;
  }

  offer(events: readonly v1.IEvent[], revision: number): void {
    if (this.lagging || this.closed) return;
    const wanted = events.filter((event) => this.wants(event));
    if (wanted.length === 0) return;
    if (!this.blocked) return this.send({ events: wanted, progressRevision: revision });
    if (this.queue.length + wanted.length > this.queueMax) {
      // Too slow: what waits is of no use any more, the whole state will be loaded anew.
      this.queue = [];
      this.lagging = true;
      return;
    }
    this.queue.push(...wanted);
  }

  private wants(event: v1.IEvent): boolean {
    const { node, kinds, session } = this.filter;
    if (session !== undefined && event.sessionId && event.sessionId !== session) return false;
    const addressed = event.node ?? "";
    if (node !== "" && addressed !== "" && addressed !== node) return false;
    return kinds.size === 0 || kinds.has(event.kind ?? "");
  }

  /** Everything up to `revision` was sent. Left out while something waits, or it would not be true. */
  progress(revision: number): void {
    if (this.closed || this.blocked || this.lagging) return;
    this.send({ progressRevision: revision });
  }

  resync(revision: number): void {
    if (this.closed) return;
    this.queue = [];
    if (this.blocked) {
      this.lagging = true;
      return;
    }
    this.send({ resync: true, progressRevision: revision });
  }

  private send(response: v1.IWatchResponse): void {
    response.incarnation = this.head().incarnation;
    if (!this.sink(response)) this.blocked = true;
  }

  /** The sink takes more. */
  resume(): void {
    if (!this.blocked || this.closed) return;
    this.blocked = false;
    if (this.lagging) {
      this.lagging = false;
      this.send({ resync: true, progressRevision: this.head().revision });
      return;
    }
    const events = this.queue;
    if (events.length === 0) return;
    this.queue = [];
    this.send({ events, progressRevision: events[events.length - 1]?.revision ?? 0 });
  }

  close(): void {
    this.closed = true;
    this.queue = [];
  }
}
