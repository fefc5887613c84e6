import type { v1 } from "../../wire/index.js";
import { num } from "../format.js";
import { type EventRow, keyOf, toRow, unreachable } from "./merge.js";
import { readEvents } from "./sources.js";

/** Keys of shown rows that are kept: enough for all nodes to tell the same before they fall out. */
const SHOWN_MAX = 20_000;
const RETRY_MS = 1_000;

/** Where one node is followed. */
export interface Followed {
  readonly address: string;
  readonly name: string;
}

/**
 * Follows the events of several nodes at once: each is shown when its first node tells it. A node that goes is told once,
 * and followed again from where it was as soon as it is back.
 */
export class Follower {
  private readonly shown = new Set<string>();
  private readonly readers = new Map<string, { stop(): void }>();
  private readonly resume = new Map<string, number>();
  private readonly gone = new Set<string>();
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(
    private readonly request: v1.IListEventsRequest,
    private readonly show: (row: EventRow) => void,
  ) {}

  /** Shows a row unless it was shown. */
  offer(row: EventRow): void {
    const key = keyOf(row);
    if (this.shown.has(key)) return;
    this.shown.add(key);
    const [oldest] = this.shown;
    if (this.shown.size > SHOWN_MAX && oldest !== undefined) this.shown.delete(oldest);
    this.show(row);
  }

  follow(node: Followed, from: number): void {
    this.resume.set(node.address, from);
    this.open(node);
  }

  /** From where a later call goes on. */
  stop(): number {
    for (const reader of this.readers.values()) reader.stop();
    for (const timer of this.timers) clearTimeout(timer);
    return Math.min(...this.resume.values());
  }

  private open(node: Followed): void {
    const { address } = node;
    const request = { ...this.request, fromRevision: this.resume.get(address) ?? 0, follow: true };
    const reader = readEvents(address, request, Infinity, {
      chunk: (chunk) => {
        this.gone.delete(address);
        const resume = num(chunk.resumeRevision);
        this.resume.set(address, Math.max(resume, this.resume.get(address) ?? 0));
        for (const event of chunk.events ?? []) this.offer(toRow(event));
      },
      ended: (error) => {
        this.readers.delete(address);
        if (!this.gone.has(address))
          this.show(unreachable(node.name || address, error?.message ?? "it has ended the stream"));
        this.gone.add(address);
        const timer = setTimeout(() => {
          this.timers.delete(timer);
          this.open(node);
        }, RETRY_MS);
        this.timers.add(timer);
      },
    });
    this.readers.set(address, reader);
  }
}
