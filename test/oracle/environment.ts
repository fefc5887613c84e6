import { decodeConfChange } from "../../src/raft/conf/codec.js";
import { Core } from "../../src/raft/core.js";
import { applied, confirmBatch, drain, hasEffects, persisted } from "../../src/raft/drain.js";
import {
  type ConfState,
  describeEntries,
  describeHardState,
  describeMessage,
  describeRole,
  describeSnapshot,
  type Effects,
  type Entry,
  EntryKind,
  type HardState,
  type Message,
  type RaftOptions,
} from "../../src/raft/index.js";
import { checkInvariants } from "../../src/raft/invariants.js";
import { Member } from "../../src/raft/member.js";
import type { OutstandingBatch } from "../../src/raft/state.js";
import { step, stepFromPeer } from "../../src/raft/step.js";
import { type HistoryItem, OracleDisk } from "./disk.js";
import {
  describeStorageAppend,
  describeStorageAppendResponse,
  describeStorageApply,
  describeStorageApplyResponse,
  withResponses,
} from "./print.js";

/** Something on its way to a member: a message, or the answer of one of its own storage threads. */
export interface Envelope {
  readonly to: number;
  /** etcd's name of the kind, for delivery by kind. */
  readonly kind: string;
  /** From the member itself: never dropped. */
  readonly local: boolean;
  readonly text: string;
  /** Answers the error that the receiver reports, or null. */
  deliver(receiver: OracleNode): string | null;
}

/** Work for a storage thread: what to print, what to do, what follows. */
interface ThreadWork {
  readonly text: string;
  run(): string | null;
  readonly responses: readonly Envelope[];
}

/** Settings of a node that are the driver's business and not the core's. */
export interface NodeSettings {
  readonly asyncStorageWrites: boolean;
  readonly start: HistoryItem;
}

/** A member of a test file: the real core, a disk, an appending state machine and the two storage threads. */
export class OracleNode {
  readonly core: Core;
  readonly member: Member;
  readonly disk = new OracleDisk();
  readonly history: HistoryItem[];
  readonly appendWork: ThreadWork[] = [];
  readonly applyWork: ThreadWork[] = [];
  private shownRole: string;
  private shownHardState: HardState;

  constructor(
    readonly options: RaftOptions,
    readonly settings: NodeSettings,
  ) {
    const { meta } = settings.start;
    if (meta.index > 0) this.disk.applySnapshot(meta);
    this.history = [settings.start];
    this.core = new Core(
      options,
      {
        hardState: { term: 0, vote: 0, commit: 0 },
        confState: meta.confState,
        confIndex: 0,
        snapshotIndex: meta.index,
        snapshotTerm: meta.term,
        entries: [],
        appliedIndex: meta.index,
      },
      {
        applyUndurable: !settings.asyncStorageWrites,
        voteRequestsAtOnce: true,
        etcdRefusals: true,
        snapshotsInline: true,
      },
    );
    this.member = new Member(this.core);
    if (meta.index > 0) this.core.snapshotOffer = meta;
    this.shownRole = this.roleText();
    this.shownHardState = this.core.hardState();
  }

  get hasReady(): boolean {
    return hasEffects(this.core);
  }

  private roleText(): string {
    return `Lead:${this.core.leader} State:${describeRole(this.core.role)}`;
  }

  /** Takes the effects of the core, prints them and starts or finishes their work. Answers what was printed. */
  processReady(send: (envelope: Envelope) => void): string {
    const effects = drain(this.core);
    const batch = effects.persist === null ? null : (this.core.outstanding.at(-1) as OutstandingBatch);
    checkInvariants(this.core);
    return this.settings.asyncStorageWrites
      ? this.readyAsync(effects, batch, send)
      : this.readySync(effects, batch, send);
  }

  private readySync(effects: Effects, batch: OutstandingBatch | null, send: (e: Envelope) => void): string {
    const messages = [...effects.messages, ...(effects.persist?.after ?? [])];
    const text = this.describeReady(
      effects,
      messages.map((message) => describeMessage(message)),
    );
    const error = this.store(effects);
    if (error !== null) return text + error;
    this.apply(effects.committed);
    for (const message of messages) send(peerEnvelope(message));
    if (batch !== null) persisted(this.core, batch.seq);
    const last = effects.committed.at(-1);
    if (last !== undefined) applied(this.core, last.index);
    return text;
  }

  /** etcd delivers each answer of the storage threads by itself, so the driver takes the batch apart. */
  private readyAsync(effects: Effects, batch: OutstandingBatch | null, send: (e: Envelope) => void): string {
    const texts = effects.messages.map((message) => describeMessage(message));
    for (const message of effects.messages) send(peerEnvelope(message));
    const { persist, committed } = effects;
    if (persist !== null && batch !== null) {
      this.core.outstanding.pop();
      this.core.ackedSeq = batch.seq;
      const write = describeStorageAppend(this.core.id, persist.hardState, persist.entries, persist.snapshot);
      const responses = batch.queued.map((message) => peerEnvelope(message));
      const confirmation = describeStorageAppendResponse(this.core.id, batch);
      if (confirmation !== null) responses.push(this.confirmation(confirmation, batch));
      const shown = responses.map((envelope) => envelope.text);
      texts.push(withResponses(write, shown));
      this.appendWork.push({ text: write, run: () => this.store(effects), responses });
    }
    if (committed.length > 0) {
      const work = describeStorageApply(this.core.id, committed);
      const response = this.appliedEnvelope(committed);
      texts.push(withResponses(work, [response.text]));
      const run = (): null => {
        this.apply(committed);
        return null;
      };
      this.applyWork.push({ text: work, run, responses: [response] });
    }
    return this.describeReady(effects, texts);
  }

  private confirmation(text: string, batch: OutstandingBatch): Envelope {
    const deliver = (receiver: OracleNode): null => {
      confirmBatch(receiver.core, batch);
      return null;
    };
    return { to: this.core.id, kind: "MsgStorageAppendResp", local: true, text, deliver };
  }

  private appliedEnvelope(entries: readonly Entry[]): Envelope {
    const deliver = (receiver: OracleNode): null => {
      applied(receiver.core, (entries.at(-1) as Entry).index);
      return null;
    };
    const text = describeStorageApplyResponse(this.core.id, entries);
    return { to: this.core.id, kind: "MsgStorageApplyResp", local: true, text, deliver };
  }

  private describeReady(effects: Effects, messages: readonly string[]): string {
    const { persist } = effects;
    const role = this.roleText();
    let text = "";
    if (role !== this.shownRole) text += `${role}\n`;
    this.shownRole = role;
    const hardState = persist?.hardState ?? null;
    const previous = this.shownHardState;
    if (hardState !== null) {
      text += `HardState ${describeHardState(hardState)}\n`;
      this.shownHardState = hardState;
    }
    if (persist !== null && persist.entries.length > 0)
      text += `Entries:\n${describeEntries(persist.entries)}`;
    if (persist !== null && persist.snapshot !== null)
      text += `Snapshot ${describeSnapshot(persist.snapshot)}\n`;
    if (effects.committed.length > 0) text += `CommittedEntries:\n${describeEntries(effects.committed)}`;
    if (messages.length > 0) text += `Messages:\n${messages.map((message) => `${message}\n`).join("")}`;
    if (text === "") return "<empty Ready>";
    const identity =
      hardState !== null && (hardState.term !== previous.term || hardState.vote !== previous.vote);
    const mustSync = (persist !== null && persist.entries.length > 0) || identity;
    return `Ready MustSync=${mustSync}:\n${text}`;
  }

  private store(effects: Effects): string | null {
    const { persist } = effects;
    if (persist === null) return null;
    if (persist.hardState !== null) this.disk.hardState = persist.hardState;
    if (persist.snapshot !== null) {
      if (persist.entries.length > 0) return "can't apply snapshot and entries at the same time";
      return this.disk.applySnapshot(persist.snapshot);
    }
    this.disk.append(persist.entries);
    return null;
  }

  /** The state machine appends what it is given; its newest state is what the core may send as a snapshot. */
  private apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const before = this.history.at(-1) as HistoryItem;
      let confState: ConfState = before.meta.confState;
      let update = "";
      if (entry.kind === EntryKind.Normal) {
        update = new TextDecoder().decode(entry.data);
      } else {
        const change = decodeConfChange(entry);
        confState = this.member.applyConfChange(change);
        update = new TextDecoder().decode(change.context);
      }
      const meta = { index: entry.index, term: entry.term, confState };
      this.history.push({ meta, data: before.data + update });
      this.core.snapshotOffer = meta;
    }
  }

  /** Runs the oldest piece of work of a thread; answers what was printed. */
  processThread(work: ThreadWork[], name: string, send: (envelope: Envelope) => void): string {
    const item = work.shift();
    if (item === undefined) return `no ${name} work to perform`;
    const head = `Processing:\n${item.text}\n`;
    const error = item.run();
    if (error !== null) return head + error;
    for (const response of item.responses) send(response);
    return `${head}Responses:\n${item.responses.map((response) => `${response.text}\n`).join("")}`;
  }
}

/** A message on its way to a member, possibly the sender itself. */
export function peerEnvelope(message: Message): Envelope {
  const text = describeMessage(message);
  const deliver = (receiver: OracleNode): string | null => {
    const error =
      message.from === message.to ? step(receiver.core, message) : stepFromPeer(receiver.core, message);
    checkInvariants(receiver.core);
    return error;
  };
  const kind = text.split(" ")[1] ?? "";
  return { to: message.to, kind, local: message.from === message.to, text, deliver };
}
