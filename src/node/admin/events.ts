import type { ServerWritableStream } from "@grpc/grpc-js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { pastFailovers } from "./past-events.js";
import type { AdminParts } from "./service.js";

/** Events in one message: small enough for the message limit whatever they carry. */
const CHUNK = 200;

/** Bytes that may wait for a slow reader before it is cut off; it resumes by its token. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** Serves `holdfast events`: what records and kept events tell, and with `follow` what comes. */
export function streamEvents(
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
  if (chosen.length > limit) {
    // Without a start the latest are wanted; with one, the first, and the token leads on.
    chosen = from === 0 ? chosen.slice(-limit) : chosen.slice(0, limit);
    if (from === 0) compacted = true;
  }
  const cut = chosen.length === limit && from !== 0;
  const end = cut ? Number(chosen.at(-1)?.revision ?? 0) + 1 : parts.replica.appliedIndex + 1;
  let first = true;
  for (let i = 0; i < chosen.length || first; i += CHUNK) {
    const events = chosen.slice(i, i + CHUNK).map(trimmed);
    call.write({ events, resumeRevision: end, compacted: first && compacted });
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
    call.write({ events: fresh, resumeRevision: Number(fresh.at(-1)?.revision ?? 0) + 1 });
  });
  call.on("cancelled", stop);
  call.on("close", stop);
}

/** The event without the record that it carries for machines: that may hold secrets and megabytes of blobs. */
function trimmed(event: v1.IEvent): v1.IEvent {
  const { revision, ordinal, clusterTimeMs, node, kind, text, sessionId, handleId, clientGuid } = event;
  return {
    revision: revision ?? 0,
    ordinal: ordinal ?? 0,
    clusterTimeMs: clusterTimeMs ?? 0,
    node: node ?? "",
    kind: kind ?? "",
    text: text ?? "",
    sessionId: sessionId ?? 0,
    handleId: handleId ?? new Uint8Array(0),
    clientGuid: clientGuid ?? new Uint8Array(0),
  };
}
