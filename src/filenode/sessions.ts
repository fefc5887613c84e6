import type { v1 } from "../wire/index.js";
import type { Vfs, VfsFile } from "./api.js";
import { ChannelSequence } from "./channel-sequence.js";
import { idKey } from "./ids.js";
import type { OpenFile } from "./open-file.js";
import type { WritePipe } from "./write-pipe.js";

/** Counts calls under way and lets somebody wait until there are none. */
export class Running {
  private count = 0;
  private waiters: (() => void)[] = [];

  begin(): void {
    this.count += 1;
  }

  end(): void {
    this.count -= 1;
    if (this.count > 0) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (const wake of waiters) wake();
  }

  get idle(): boolean {
    return this.count === 0;
  }

  /** Resolves once nothing is under way. */
  async drained(): Promise<void> {
    while (this.count > 0) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }
}

/** A handle that this node serves. What must survive is in `record`, which is the state's; the rest is this owner's. */
export class OpenHandle {
  readonly key: string;
  /** First use is recorded once; later ones wait for the same answer (semantics.md A4). */
  use: Promise<void> | null = null;
  /** The descriptor, opened at the first I/O. */
  file: Promise<VfsFile> | null = null;
  readonly sequence: ChannelSequence;
  /** The latest sequence that is on record. */
  recordedSequence: number;
  readonly running = new Running();
  pipe: WritePipe | null = null;
  closed = false;
  /** Closes of it that are under way: nothing new begins, or it would land after others have the file. */
  closing = 0;
  /** One of them is in the name of an operator. */
  forced = false;
  /** This node has served it since it was opened, and so knows whether anything was written through it. */
  sinceOpen = false;

  constructor(
    readonly session: OwnedSession,
    public record: v1.IHandleRecord,
    readonly vfs: Vfs,
    readonly openFile: OpenFile,
  ) {
    this.key = idKey(record.id);
    this.recordedSequence = record.channelSequence ?? 0;
    this.sequence = new ChannelSequence(this.recordedSequence);
  }

  get path(): string {
    return this.record.path ?? "";
  }

  get share(): string {
    return this.record.share ?? "";
  }

  /** True when nothing was written through it at any node; false may also mean that nobody knows. */
  get unmodified(): boolean {
    return this.sinceOpen && !this.openFile.writers.has(this);
  }

  get access(): number {
    return this.record.grantedAccess ?? 0;
  }
}

/** A session that this node owns, under one epoch. A change of epoch makes another object. */
export class OwnedSession {
  readonly handles = new Map<string, OpenHandle>();
  /** Resolves when what was inherited is resolved: before that nobody gets at the session (semantics.md C5). */
  ready: Promise<void> = Promise.resolve();
  /** Channels that serve it (semantics.md H 26), oldest first. Empty: its client is away. */
  readonly channels = new Set<number>();
  readonly running = new Running();
  /** Ends of it by its client that are under way: nothing new begins. */
  ending = 0;
  /** Operation that is about to move the session away; empty: none. New calls are refused meanwhile. */
  frozenBy = "";
  /** Set when this node is not the owner any more. */
  gone = false;

  constructor(
    public record: v1.ISessionRecord,
    readonly node: string,
    readonly nodeIncarnation: number,
  ) {}

  get id(): number {
    return this.record.id ?? 0;
  }

  get epoch(): number {
    return this.record.epoch ?? 0;
  }

  /** Goes with every command: refused by the state unless all of it is current. */
  fence(): v1.IFence {
    return {
      sessionId: this.id,
      epoch: this.epoch,
      node: this.node,
      nodeIncarnation: this.nodeIncarnation,
    };
  }
}
