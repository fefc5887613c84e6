import { createHash } from "node:crypto";
import type { StateView } from "../state/index.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";

/** Moves of the past from which the freeze of the next one is expected. */
const HISTORY_MAX = 100;

/**
 * What a transfer would do now: which sessions go where, which nodes were refused and why, what stands in the way, and
 * how long a session is likely to be frozen; of a forced one also how long owners that do not answer are waited for, where
 * `leaseLeftMs` knows it. The hash names exactly this plan: when the world changes, it changes too.
 * Throws UNKNOWN_* and INVALID_ARGUMENT; blockers are part of the plan.
 */
export function planTransfer(
  state: StateView,
  request: v1.ITransferRequest,
  revision: number,
  leaseLeftMs?: (node: string) => number,
): v1.ITransferPlan {
  const sessions = selected(state, request);
  const blockers = sessions.flatMap((session) => unexpected(session, request));
  const apart = movesApart(state, request, blockers);
  const candidates = judge(state, sessions, request, apart);
  const items = assign(state, sessions, candidates, request, blockers);
  if (apart !== null) for (const item of items) item.handleId = apart.id ?? null;
  for (const session of sessions) blockers.push(...blockersOf(state, session, request));
  return {
    hash: hashOf(request, items),
    items,
    candidates,
    blockers,
    expectedFreezeMs: expectedFreezeMs(state),
    revision,
    ...notesAndWait(state, request, items, leaseLeftMs),
    noChange: items.length === 0 && blockers.length === 0 && isDrained(state, request),
  };
}

/** What is to be known of a plan that stands in no row of it; of a forced one also how long it waits at most. */
function notesAndWait(
  state: StateView,
  request: v1.ITransferRequest,
  items: readonly v1.IOperationItem[],
  leaseLeftMs: ((node: string) => number) | undefined,
): { notes: string[]; expectedWaitMs?: number } {
  const notes = isDrained(state, request)
    ? []
    : [`${request.node} gets no new sessions from then on, until holdfast uncordon ${request.node}`];
  if (!request.force) return { notes };
  const wait = expectedWait(state, items, leaseLeftMs);
  return { ...wait, notes: [...notes, ...wait.notes] };
}

/** False for a drain of a node that may still be given sessions: that is a change, also where it owns none. */
function isDrained(state: StateView, request: v1.ITransferRequest): boolean {
  if (!request.drain) return true;
  const node = state.node(request.node ?? "");
  return node?.cordoned === true && node.draining === true;
}

/** What the caller believes and what is not so (compare and set). No part of the hash: nothing of it is done. */
function unexpected(session: v1.ISessionRecord, request: v1.ITransferRequest): string[] {
  const wrong: string[] = [];
  if (request.expectOwner && session.owner !== request.expectOwner)
    wrong.push(`session ${session.id} is owned by ${session.owner}, not by ${request.expectOwner}`);
  if (request.expectEpoch && session.epoch !== request.expectEpoch)
    wrong.push(`session ${session.id} is at epoch ${session.epoch}, not ${request.expectEpoch}`);
  return wrong;
}

/** What a forced move waits for: nobody is passed over before it is sure that he does nothing any more. */
function expectedWait(
  state: StateView,
  items: readonly v1.IOperationItem[],
  leaseLeftMs: ((node: string) => number) | undefined,
): { notes: string[]; expectedWaitMs: number } {
  const notes: string[] = [];
  let expectedWaitMs = 0;
  for (const owner of [...new Set(items.map((item) => item.from ?? ""))].sort()) {
    const leftMs = leaseLeftMs?.(owner);
    // Who is down is fenced already.
    if (leftMs === undefined || state.node(owner)?.status !== v1.NodeStatus.NODE_UP) continue;
    expectedWaitMs = Math.max(expectedWaitMs, Math.ceil(leftMs));
    notes.push(
      `${owner} is up: it is asked to release; if it does not answer, the rest of its lease is waited for (${Math.ceil(leftMs)} ms from now)`,
    );
  }
  return { notes, expectedWaitMs };
}

/**
 * The handle that is to leave its session; null when whole sessions move. A handle that has a session to itself, since it
 * moved alone before, moves with that.
 */
function movesApart(
  state: StateView,
  request: v1.ITransferRequest,
  blockers: string[],
): v1.IHandleRecord | null {
  if (!request.handleId?.length) return null;
  const handle = theHandle(state, request.handleId);
  const session = theSession(state, handle.sessionId ?? 0);
  if (handle.state !== v1.HandleState.HANDLE_OPEN) blockers.push("the handle is not open");
  if (session.derivedFrom) {
    const open = [...state.handlesOfSession(session.id ?? 0)].filter(
      (other) => other.state === v1.HandleState.HANDLE_OPEN,
    );
    if (open.length <= 1) return null;
  }
  if (handle.kind !== v1.HandleKind.PERSISTENT)
    blockers.push("the handle is not persistent: it would end with its server; move the session");
  return handle;
}

function theHandle(state: StateView, id: Uint8Array): v1.IHandleRecord {
  const handle = state.handle(id);
  if (handle !== undefined) return handle;
  throw new HoldfastError(ErrorCode.UNKNOWN_HANDLE, "there is no such handle", { next: "holdfast handles" });
}

function selected(state: StateView, request: v1.ITransferRequest): v1.ISessionRecord[] {
  const ways = [
    request.sessionId ? "session" : "",
    request.handleId?.length ? "handle" : "",
    request.share ? "share" : "",
    request.node ? "node" : "",
  ].filter((way) => way !== "");
  if (ways.length !== 1)
    throw new HoldfastError(
      ErrorCode.INVALID_ARGUMENT,
      `a transfer names one of session, handle, share and node; this one names ${ways.join(" and ") || "none"}`,
      { next: "name one, as in: holdfast transfer --session ID --to NODE" },
    );
  if (request.sessionId) return [theSession(state, request.sessionId)];
  if (request.handleId?.length) return [theSession(state, theHandle(state, request.handleId).sessionId ?? 0)];
  if (request.node) {
    theNode(state, request.node);
    if (request.drain && request.to === request.node)
      throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, `${request.node} cannot be emptied into itself`, {
        next: "leave --to away, or name another node",
      });
    return byId(state.sessionsOf(request.node));
  }
  return inShare(state, request.share ?? "");
}

/** Throws UNKNOWN_SHARE for a share that no node has registered; while none has registered any, nothing can be told. */
export function requireShare(state: StateView, share: string): void {
  const known = [...new Set([...state.nodes()].flatMap((node) => node.shares ?? []))].sort();
  if (known.length === 0 || known.includes(share)) return;
  throw new HoldfastError(ErrorCode.UNKNOWN_SHARE, `no node serves a share ${JSON.stringify(share)}`, {
    next: `use one of: ${known.join(", ")}`,
  });
}

function inShare(state: StateView, share: string): v1.ISessionRecord[] {
  const ids = new Set<number>();
  for (const handle of state.handles())
    if (handle.share === share && handle.state === v1.HandleState.HANDLE_OPEN) ids.add(handle.sessionId ?? 0);
  // Misspelt, it would look like a share whose sessions are all in their place.
  if (ids.size === 0) requireShare(state, share);
  return byId([...ids].map((id) => state.session(id)).filter((session) => session !== undefined));
}

function theSession(state: StateView, id: number): v1.ISessionRecord {
  const session = state.session(id);
  if (session !== undefined) return session;
  throw new HoldfastError(ErrorCode.UNKNOWN_SESSION, `there is no session ${id}`, {
    next: "holdfast sessions",
  });
}

function theNode(state: StateView, name: string): v1.INodeRecord {
  const node = state.node(name);
  if (node !== undefined) return node;
  const known = [...state.nodes()]
    .map((each) => each.name ?? "")
    .sort()
    .join(", ");
  throw new HoldfastError(ErrorCode.UNKNOWN_NODE, `there is no node ${name}; known are ${known || "none"}`, {
    next: "holdfast nodes",
  });
}

function byId(sessions: Iterable<v1.ISessionRecord>): v1.ISessionRecord[] {
  return [...sessions].sort((a, b) => (a.id ?? 0) - (b.id ?? 0));
}

function judge(
  state: StateView,
  sessions: readonly v1.ISessionRecord[],
  request: v1.ITransferRequest,
  apart: v1.IHandleRecord | null,
): v1.ICandidate[] {
  if (request.to) theNode(state, request.to);
  const shares = new Set<string>();
  if (apart !== null) shares.add(apart.share ?? "");
  for (const session of apart === null ? sessions : [])
    for (const handle of state.handlesOfSession(session.id ?? 0))
      if (handle.state === v1.HandleState.HANDLE_OPEN) shares.add(handle.share ?? "");
  return [...state.nodes()]
    .sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1))
    .map((node) => {
      const owns = sessions.length > 0 && sessions.every((session) => session.owner === node.name);
      const reason = owns ? "owns it already" : refusal(node, shares, request);
      return { node: node.name ?? "", accepted: reason === "", reason };
    });
}

function refusal(node: v1.INodeRecord, shares: ReadonlySet<string>, request: v1.ITransferRequest): string {
  if (node.foreign) return "a file server that is not ours";
  if (node.status !== v1.NodeStatus.NODE_UP) return `not up${node.reason ? `: ${node.reason}` : ""}`;
  if (node.name === request.node) return "it is the node to be emptied";
  if (node.draining) return "draining";
  // Whoever names a cordoned node means it.
  if (node.cordoned && node.name !== request.to) return "cordoned";
  const missing = [...shares].filter((share) => node.shares?.length && !node.shares.includes(share));
  if (missing.length > 0) return `does not serve ${missing.join(", ")}`;
  if (request.to && node.name !== request.to) return "not the one asked for";
  return "";
}

/** To the one that was asked for, or to whichever accepted node has the fewest sessions at the time. */
function assign(
  state: StateView,
  sessions: readonly v1.ISessionRecord[],
  candidates: readonly v1.ICandidate[],
  request: v1.ITransferRequest,
  blockers: string[],
): v1.IOperationItem[] {
  const accepted = candidates.filter((candidate) => candidate.accepted).map((c) => c.node ?? "");
  const load = new Map(accepted.map((name) => [name, [...state.sessionsOf(name)].length]));
  const items: v1.IOperationItem[] = [];
  for (const session of sessions) {
    const owner = session.owner ?? "";
    if (owner === request.to) continue;
    const targets = accepted.filter((name) => name !== owner);
    if (targets.length === 0) {
      blockers.push(`session ${session.id}: no node may take it${whyNot(candidates, owner, request.to)}`);
      continue;
    }
    const to = targets.reduce((best, name) => ((load.get(name) ?? 0) < (load.get(best) ?? 0) ? name : best));
    load.set(to, (load.get(to) ?? 0) + 1);
    items.push({ sessionId: session.id ?? 0, from: owner, to, epochBefore: session.epoch ?? 0 });
  }
  return items;
}

/** Why those refused that could have taken it; of the one that was asked for alone, where one was. */
function whyNot(candidates: readonly v1.ICandidate[], owner: string, to: string | null | undefined): string {
  const asked = candidates.filter((each) => (to ? each.node === to : each.node !== owner));
  return asked.length === 0 ? "" : ` (${asked.map((each) => `${each.node}: ${each.reason}`).join("; ")})`;
}

function blockersOf(state: StateView, session: v1.ISessionRecord, request: v1.ITransferRequest): string[] {
  const blockers: string[] = [];
  if (session.frozenBy)
    blockers.push(`session ${session.id} is being moved by operation ${session.frozenBy}`);
  if (session.takenOver)
    blockers.push(`session ${session.id}: ${session.owner} is still resolving what it inherited`);
  const up = state.node(session.owner ?? "")?.status === v1.NodeStatus.NODE_UP;
  if (!up && !request.force)
    blockers.push(
      `session ${session.id}: its owner ${session.owner} is not up and cannot release it (--force)`,
    );
  return blockers;
}

/** The 90th percentile of what past moves took; zero while there is no history. */
function expectedFreezeMs(state: StateView): number {
  const past: number[] = [];
  const operations = [...state.operations()].sort((a, b) => (b.begunMs ?? 0) - (a.begunMs ?? 0));
  for (const operation of operations)
    for (const item of operation.items ?? [])
      if (item.state === "moved" && past.length < HISTORY_MAX) past.push(frozenMs(item));
  past.sort((a, b) => a - b);
  return past[Math.max(0, Math.ceil(past.length * 0.9) - 1)] ?? 0;
}

/** What the session's client waited, as far as it is known. */
function frozenMs(item: v1.IOperationItem): number {
  const us = Math.max(
    item.clientGapUs ?? 0,
    (item.fenceUs ?? 0) + (item.reassignUs ?? 0) + (item.reclaimUs ?? 0),
  );
  return Math.ceil(us / 1_000);
}

function hashOf(request: v1.ITransferRequest, items: readonly v1.IOperationItem[]): string {
  const plan = items.map((item) => [
    item.sessionId,
    item.from,
    item.to,
    item.epochBefore,
    Buffer.from(item.handleId ?? []).toString("hex"),
  ]);
  const what = [request.drain ?? false, request.force ?? false, request.node ?? "", plan];
  return createHash("sha256").update(JSON.stringify(what)).digest("hex").slice(0, 16);
}
