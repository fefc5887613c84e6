import type { ServerWritableStream } from "@grpc/grpc-js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { pastFailovers } from "./past-events.js";
import type { AdminParts } from "./service.js";

/** Events in one message: small enough for the message limit whatever they carry. */
const CHUNK = 200;

/** Bytes that may wait for a slow reader before it is cut off; it resumes by its token. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** How long a node is waited for that may have missed the latest; without a quorum it tells what it has. */
const BARRIER_MS = 300;

/** Serves `holdfast events`: what records and kept events tell, and with `follow` what comes. */
export async function streamEvents(
  parts: AdminParts,
  call: ServerWritableStream<v1.IListEventsRequest, v1.IEventsChunk>,
): Promise<void> {
  await parts.replica.readBarrier(parts.clock.monotonicMs() + BARRIER_MS).catch(() => undefined);
  if (!call.cancelled) streamKept(parts, call);
}

function streamKept(
  parts: AdminParts,
  call: ServerWritableStream<v1.IListEventsRequest, v1.IEventsChunk>,
): void {
  const request = call.request;
  const kinds = new Set(request.kinds ?? []);
  const limit = request.limit === 0 ? limits.eventsKeptMax : (request.limit ?? limits.eventsKeptMax);
  const wanted = (event: v1.IEvent) => kinds.size === 0 || kinds.has(event.kind ?? "");
  const from = Number(request.fromRevision ?? 0);
  const kept = parts.events.from(from);
  const { state, appliedIndex } = parts.replica;
  const oldest = Number(parts.events.from(0).events[0]?.revision ?? appliedIndex + 1);
  const past = pastFailovers(state.failovers(), from, oldest);
  let chosen = [...past, ...kept.events].filter(wanted);
  let compacted = kept.compacted;
  const head = { node: parts.nodeName, clusterTimeMs: Math.round(parts.replica.clusterTimeMs()) };
  let end = parts.events.token(parts.replica.appliedIndex);
  if (chosen.length > limit) {
    // Without a start the latest are wanted; with one, the first, and the token leads on.
    if (from === 0) {
      chosen = chosen.slice(-limit);
      compacted = true;
    } else {
      chosen = wholeRevisions(chosen, limit);
      end = Number(chosen.at(-1)?.revision ?? 0) + 1;
    }
  }
  let first = true;
  for (let i = 0; i < chosen.length || first; i += CHUNK) {
    const events = chosen.slice(i, i + CHUNK).map(trimmed);
    call.write({ ...head, events, resumeRevision: end, compacted: first && compacted });
    first = false;
  }
  if (request.follow !== true) {
    call.end();
    return;
  }
  const stop = parts.events.listen((events) => {
    const fresh = events.filter(wanted).map(trimmed);
    if (fresh.length === 0) return;
    if (call.writableLength > WAITING_BYTES_MAX) {
      call.end();
      return;
    }
    call.write({
      ...head,
      clusterTimeMs: Math.round(parts.replica.clusterTimeMs()),
      events: fresh,
      resumeRevision: Number(fresh.at(-1)?.revision ?? 0) + 1,
    });
  });
  call.on("cancelled", stop);
  call.on("close", stop);
}

/** The first `limit`, and what is left of their last revision: a token leads to the next revision, not into one. */
function wholeRevisions(events: readonly v1.IEvent[], limit: number): v1.IEvent[] {
  let end = limit;
  while (end < events.length && Number(events[end]?.revision) === Number(events[end - 1]?.revision)) end += 1;
  return events.slice(0, end);
}

/** The event without the record that it carries for machines: that may hold secrets and megabytes of blobs. */
function trimmed(event: v1.IEvent): v1.IEvent {
  const { revision, ordinal, clusterTimeMs, node, kind, text, sessionId, handleId, clientGuid, seenBy } =
    event;
  return {
    revision: revision ?? 0,
    ordinal: ordinal ?? 0,
    clusterTimeMs: clusterTimeMs ?? 0,
    // What is about a node names it; what is addressed to one says so by itself.
    node: node || (event.nodeRecord?.name ?? ""),
    kind: kind ?? "",
    text: text ?? "",
    sessionId: sessionId ?? 0,
    handleId: handleId ?? new Uint8Array(0),
    clientGuid: clientGuid ?? new Uint8Array(0),
    seenBy: seenBy ?? "",
  };
}
