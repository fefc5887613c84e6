// The consensus core alone: members in memory, no disk, no network, one thread. Proposes batches, delivers everything until
// nothing moves, and repeats. SECONDS_MAX per row (default 2), JSON=file for the figures, START_INDEX to begin elsewhere.
import { writeFileSync } from "node:fs";
import {
  EMPTY_CONF_STATE,
  foundingState,
  type Message,
  NO_LIMIT,
  type RaftMember,
  type RaftOptions,
  restoreRaft,
} from "../src/raft/index.js";

const PAYLOAD_BYTES = 128;
const INFLIGHT_MESSAGES = 256;
const COMPACT_EVERY = 8192;

interface Row {
  readonly nodes: number;
  readonly batch: number;
  readonly entriesPerSecond: number;
  readonly messagesPerSecond: number;
  readonly heapBytesPerEntry: number;
}

function options(id: number): RaftOptions {
  return {
    id,
    electionTicks: 10,
    heartbeatTicks: 1,
    preVote: true,
    checkQuorum: true,
    appendBytesMax: 1 << 20,
    inflightMessagesMax: INFLIGHT_MESSAGES,
    inflightBytesMax: NO_LIMIT,
    uncommittedBytesMax: NO_LIMIT,
    committedBytesMax: NO_LIMIT,
    readMode: "read-index",
    stepDownOnRemoval: true,
    confChangeValidation: true,
    random: () => 0,
  };
}

/** Members whose disks are always done at once. */
class Group {
  readonly members: RaftMember[] = [];
  private readonly inboxes: Message[][] = [];
  messages = 0;
  /** Entries applied by the first member. */
  applied = 0;

  constructor(nodes: number, startIndex: number) {
    const voters = Array.from({ length: nodes }, (_, i) => i + 1);
    const founding = foundingState({ ...EMPTY_CONF_STATE, voters });
    const hardState = { ...founding.hardState, commit: startIndex };
    const state = { ...founding, hardState, snapshotIndex: startIndex, appliedIndex: startIndex };
    for (const id of voters) {
      this.members.push(restoreRaft(options(id), state));
      this.inboxes.push([]);
    }
    (this.members[0] as RaftMember).campaign();
    this.run();
  }

  get leader(): RaftMember {
    return this.members[0] as RaftMember;
  }

  /** Turns of all members until nothing moves. */
  run(): void {
    let moved = true;
    while (moved) {
      moved = false;
      for (let i = 0; i < this.members.length; i++) {
        const member = this.members[i] as RaftMember;
        const inbox = this.inboxes[i] as Message[];
        for (let k = 0; k < inbox.length; k++) member.step(inbox[k] as Message);
        inbox.length = 0;
        while (member.hasEffects()) {
          moved = true;
          this.turn(i, member);
        }
      }
    }
  }

  private turn(i: number, member: RaftMember): void {
    const effects = member.drain();
    this.send(effects.messages);
    const { persist, committed } = effects;
    if (persist !== null) {
      member.persisted(persist.seq);
      this.send(persist.after);
    }
    if (committed.length === 0) return;
    const last = (committed[committed.length - 1] as { index: number }).index;
    member.applied(last);
    if (i === 0) this.applied += committed.length;
    if (last % COMPACT_EVERY < committed.length) member.compact(last);
  }

  private send(messages: readonly Message[]): void {
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i] as Message;
      (this.inboxes[message.to - 1] as Message[]).push(message);
    }
    this.messages += messages.length;
  }
}

function measure(nodes: number, batch: number, seconds: number, startIndex: number): Row {
  const group = new Group(nodes, startIndex);
  const payload = new Uint8Array(PAYLOAD_BYTES);
  const data = new Array<Uint8Array>(batch).fill(payload);
  const spend = (ms: number): number => {
    const started = performance.now();
    while (performance.now() - started < ms) {
      for (let i = 0; i < 16; i++) {
        if (!group.leader.propose(data).ok) throw new Error("the leader refused a proposal");
        group.run();
      }
    }
    return (performance.now() - started) / 1000;
  };
  spend(Math.min(500, seconds * 250));
  group.applied = 0;
  group.messages = 0;
  const elapsed = spend(seconds * 1000);
  const row = { entriesPerSecond: group.applied / elapsed, messagesPerSecond: group.messages / elapsed };
  return { nodes, batch, ...row, heapBytesPerEntry: allocation(group, data) };
}

/** Bytes of heap for each entry, between two collections of garbage; NaN without --expose-gc. */
function allocation(group: Group, data: readonly Uint8Array[]): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) return Number.NaN;
  const rounds = Math.max(4, Math.floor(2048 / data.length));
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 5; attempt++) {
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < rounds; i++) {
      group.leader.propose(data);
      group.run();
    }
    const used = process.memoryUsage().heapUsed - before;
    // A collection in between makes it too small, even negative; the smallest positive one of several is what was used.
    if (used > 0) best = Math.min(best, used / (rounds * data.length));
  }
  return best;
}

function main(): void {
  const seconds = Number(process.env["SECONDS_MAX"] || 2);
  const startIndex = Number(process.env["START_INDEX"] || 1);
  const rows: Row[] = [];
  console.log(`${PAYLOAD_BYTES} byte entries, ${seconds} s a row, from index ${startIndex}`);
  console.log("nodes  batch   entries/s  messages/s  heap bytes/entry");
  for (const nodes of [1, 3, 5]) {
    for (const batch of [1, 64, 512]) {
      const row = measure(nodes, batch, seconds, startIndex);
      rows.push(row);
      const cells = [
        String(nodes).padStart(5),
        String(batch).padStart(6),
        Math.round(row.entriesPerSecond).toString().padStart(11),
        Math.round(row.messagesPerSecond).toString().padStart(11),
        Number.isNaN(row.heapBytesPerEntry)
          ? "   --expose-gc"
          : row.heapBytesPerEntry.toFixed(0).padStart(17),
      ];
      console.log(cells.join(" "));
    }
  }
  const json = process.env["JSON"];
  if (json)
    writeFileSync(
      json,
      `${JSON.stringify({ schemaVersion: 1, payloadBytes: PAYLOAD_BYTES, startIndex, rows }, null, 2)}\n`,
    );
}

main();
