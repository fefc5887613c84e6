import { describeConfig } from "./conf/config.js";
import { Core } from "./core.js";
import type { Message } from "./message.js";
import type { Progress } from "./progress/progress.js";
import type { OutstandingBatch } from "./state.js";
import type { Entry, SnapshotMeta } from "./types.js";

/** An independent copy, for exhaustive exploration. Entries, messages and configurations are shared: nobody changes them. */
export function cloneCore(core: Core): Core {
  const copy = Object.assign(Object.create(Core.prototype) as Core, core);
  copy.log = core.log.clone();
  copy.tracker = core.tracker.clone();
  copy.lead = core.lead === null ? null : core.lead.clone();
  copy.confEntries = core.confEntries.slice();
  copy.votes = new Map(core.votes);
  copy.forwardedReads = core.forwardedReads.map((read) => ({ ...read }));
  copy.transferWatch = core.transferWatch === null ? null : { ...core.transferWatch };
  copy.messages = core.messages.slice();
  copy.afterMessages = core.afterMessages.slice();
  copy.outstanding = core.outstanding.slice();
  copy.reads = core.reads.slice();
  copy.failedReads = core.failedReads.slice();
  return copy;
}

/**
 * Everything that can influence what the member will do, as text; equal texts mean equal futures. Batch numbers count from
 * the oldest outstanding one, so that histories of different length meet.
 */
export function fingerprint(core: Core): string {
  const { log } = core;
  const parts = [
    core.id,
    core.term,
    core.vote,
    core.role,
    core.leader,
    core.leaderOfTerm,
    core.electionElapsed,
    core.heartbeatElapsed,
    core.randomizedTicks,
    core.graceTicks,
    core.confIndex,
    core.confEntries.join(),
    log.base,
    log.baseTerm,
    entriesText(log.slice(log.base + 1, log.last, Number.MAX_SAFE_INTEGER)),
    log.committed,
    log.applying,
    log.applied,
    log.durable,
    log.handed,
    core.leaderDurable === null ? "" : `${core.leaderDurable.index}.${core.leaderDurable.confIndex}`,
    log.snapshot === null ? "" : `${metaText(log.snapshot)}${log.snapshotHanded}`,
    describeConfig(core.config),
    core.role === "leader" ? progressText(core) : "",
    core.role === "leader" ? leaderText(core) : votesText(core),
    core.messages.map(messageText).join(";"),
    core.afterMessages.map(messageText).join(";"),
    core.outstanding.map(batchText).join(";"),
    core.snapshotOffer === null ? "" : metaText(core.snapshotOffer),
  ];
  return parts.join("|");
}

/** A message as text; equal texts mean equal messages. */
export function messageText(m: Message): string {
  return (
    `${m.kind},${m.from},${m.to},${m.term},${m.logTerm},${m.index},${m.commit},${m.reject ? 1 : 0},${m.rejectHint},` +
    `${m.readPosition},${m.readRequest},${m.session},${m.forced ? 1 : 0},[${entriesText(m.entries)}]` +
    (m.snapshot === null ? "" : metaText(m.snapshot))
  );
}

function entriesText(entries: readonly Entry[]): string {
  let text = "";
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as Entry;
    text += `${entry.index}.${entry.term}.${entry.kind}.${String.fromCharCode(...entry.data)} `;
  }
  return text;
}

function metaText(meta: SnapshotMeta): string {
  return `S${meta.index}.${meta.term}.${meta.confIndex ?? 0}${JSON.stringify(meta.confState)}`;
}

/** Only a leader's progress matters: becoming one makes it anew. */
function progressText(core: Core): string {
  return core.tracker.ids
    .map((id, i) => {
      const p = core.tracker.items[i] as Progress;
      const flags = `${p.recentActive ? 1 : 0}${p.paused ? 1 : 0}${p.isLearner ? 1 : 0}`;
      const state = `${p.match}.${p.next}.${p.state}.${p.sentCommit}.${p.pendingSnapshot}.${flags}.${p.session}`;
      return `${id}:${state}.${p.inflights.ends().join("-")}.${p.inflights.bytes}`;
    })
    .join(";");
}

function leaderText(core: Core): string {
  const { lead } = core;
  if (lead === null) return "";
  const transfer = lead.transfer === null ? "" : `${lead.transfer.target}.${lead.transfer.sentTimeoutNow}`;
  const awaited = [...lead.awaited]
    .map(([peer, index]) => `${peer}:${index}`)
    .sort()
    .join();
  return (
    `${lead.pendingConfIndex}.${lead.uncommittedBytes}.${lead.sessions}.${lead.roundDue}.${transfer}.` +
    `${lead.toldDurable}.${awaited}.${lead.reads.fingerprint()}`
  );
}

function votesText(core: Core): string {
  return [...core.votes]
    .sort((a, b) => a[0] - b[0])
    .map(([id, vote]) => `${id}${vote ? "y" : "n"}`)
    .join();
}

function batchText(batch: OutstandingBatch): string {
  const snapshot = batch.snapshot === null ? "" : metaText(batch.snapshot);
  return `${batch.term}.${batch.lastIndex}.${batch.lastTerm}.${snapshot}.${batch.self.map(messageText).join("+")}`;
}
