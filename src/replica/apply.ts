import { decodeConfChange, type Entry, EntryKind, type RaftMember } from "../raft/index.js";
import type { Applied, StateMachine } from "../state/index.js";
import { ErrorCode, errorDetail, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import type { ClusterTime } from "./cluster-time.js";
import { commandKind, decodeLogRecord } from "./log-record.js";
import type { ProposalBook } from "./proposals.js";
import type { AppliedPosition, TermStarts } from "./state-writer.js";

/** Commands that change who the members are, by field number: InitCluster and SetMember. */
const MEMBER_KINDS = new Set([1, 7]);

/** What applying needs of its replica. */
export interface ApplyHost {
  readonly raft: RaftMember;
  readonly raftId: number;
  readonly boot: number;
  readonly time: ClusterTime;
  readonly book: ProposalBook;
  readonly terms: TermStarts;
  readonly position: AppliedPosition;
  machine(): StateMachine;
  events(events: readonly v1.IEvent[], revision: number): void;
  membersChanged(): void;
  applied(entry: Entry): void;
}

/**
 * Applies one committed entry to the state and answers whoever waits for it here. Answers why it cannot be applied by this
 * version, and then nothing has changed; null when it is done.
 */
export function applyEntry(host: ApplyHost, entry: Entry): HoldfastError | null {
  const { position } = host;
  if (entry.index !== position.index + 1)
    throw new Error(`invariant: entry ${entry.index} is applied after ${position.index}`);
  const normal = entry.kind === EntryKind.Normal && entry.data.length > 0;
  const record = normal ? decodeLogRecord(entry.data) : null;
  const command = record === null ? null : decodeCommand(record.command);
  const newer = record === null ? null : newerThanThis(command, record.command, entry.index);
  if (newer !== null) return newer;
  position.index = entry.index;
  position.term = entry.term;
  host.terms.note(entry.index, entry.term);
  if (entry.kind !== EntryKind.Normal) applyConfEntry(host, entry);
  else if (record !== null) applyCommand(host, entry.index, record, command);
  host.book.termApplied(entry.term);
  host.applied(entry);
  return null;
}

/**
 * The error for a command of a kind that this version does not know, alone or in a batch; null for all others. A member
 * that took it for nothing would go on with another state than those who know it.
 */
function newerThanThis(command: v1.ICommand | null, bytes: Uint8Array, index: number): HoldfastError | null {
  if (command === null || bytes.length === 0) return null;
  const inner = command.batch?.commands ?? [command];
  if (inner.every(hasBody)) return null;
  return new HoldfastError(
    ErrorCode.UNSUPPORTED_VERSION,
    `log entry ${index} holds a command of a kind that this version does not know (${commandKind(bytes)})`,
    { next: "start a version of holdfast at least as new as that of the other coordinators" },
  );
}

// What is not known is left out when it is decoded.
function hasBody(command: v1.ICommand): boolean {
  for (const name of Object.keys(command)) if (command[name as keyof v1.ICommand]) return true;
  return false;
}

function applyCommand(
  host: ApplyHost,
  index: number,
  record: ReturnType<typeof decodeLogRecord>,
  command: v1.ICommand | null,
): void {
  host.time.applied(record.clusterTimeMs);
  const { result, events } =
    command === null ? MALFORMED : execute(host, command, index, record.clusterTimeMs);
  if (events.length > 0) host.events(events, index);
  if (MEMBER_KINDS.has(commandKind(record.command))) host.membersChanged();
  if (record.origin === host.raftId && record.originBoot === host.boot)
    host.book.settle(record.proposal, result);
}

function execute(host: ApplyHost, command: v1.ICommand, index: number, clusterTimeMs: number): Applied {
  return host.machine().apply(command, { index, clusterTimeMs });
}

/** Every member must come to the same end: bytes that hold no command do nothing, on all of them. */
function decodeCommand(bytes: Uint8Array): v1.ICommand | null {
  try {
    return v1.Command.decode(bytes);
  } catch {
    return null;
  }
}

const MALFORMED: Applied = {
  result: {
    error: errorDetail(ErrorCode.INVALID_ARGUMENT, "the log entry holds bytes that are no command"),
  },
  events: [],
};

/** A membership change takes effect, and the member's record follows it into the state. */
function applyConfEntry(host: ApplyHost, entry: Entry): void {
  const change = decodeConfChange(entry);
  host.position.confState = host.raft.applyConfChange(change);
  host.position.confIndex = entry.index;
  if (change.context.length > 0) {
    const setMember = v1.SetMember.decode(change.context);
    const { events } = execute(host, { setMember }, entry.index, host.time.lastStamp);
    if (events.length > 0) host.events(events, entry.index);
  }
  host.membersChanged();
}
