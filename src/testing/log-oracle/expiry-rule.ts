import type { v1 } from "../../wire/index.js";
import { type Entry, type Finish, key, OPEN, type Rule, violated } from "./rule.js";

/** EFFECT_DELETE. */
const DELETE = 4;

interface Connection {
  number: number;
  connected: boolean;
}

/**
 * Nothing expires before its promised time, and nothing that its client has in hand (semantics.md A7, A8). A marked file
 * goes with the handle that expires.
 */
export class ExpiryRule implements Rule {
  private readonly sessions = new Map<number, Connection>();
  /** When a connection of a session ended, in cluster time. */
  private readonly endedMs = new Map<string, number>();

  begin(entry: Entry): Finish {
    const { expireHandle, expireSession } = entry.command;
    const handle = expireHandle ? entry.view.handle(expireHandle.handleId ?? new Uint8Array(0)) : undefined;
    const before = expireSession ? entry.view.session(expireSession.sessionId ?? 0) : undefined;
    const session = before && { ...before };
    const doomed = handle ? [handle] : session ? [...entry.view.handlesOfSession(session.id ?? 0)] : [];
    return (applied) => {
      this.note(entry);
      if (applied.result.error) return;
      if (handle) this.expired(entry, handle);
      if (session) this.sessionExpired(entry, session);
      for (const one of doomed) deletes(entry, one);
    };
  }

  private expired(entry: Entry, handle: v1.IHandleRecord): void {
    const what = `handle ${key(handle.id).slice(0, 8)} on ${handle.share}:${handle.path}`;
    if (handle.connected) violated("expired in use", entry, `${what} expired in its client's hand`);
    const ended = this.endedMs.get(`${handle.sessionId}/${handle.connection}`);
    this.early(entry, what, ended, handle.timeoutMs ?? 0);
  }

  private sessionExpired(entry: Entry, session: v1.ISessionRecord): void {
    const what = `session ${session.id}`;
    if (session.connected) violated("expired in use", entry, `${what} expired while its client was there`);
    this.early(entry, what, this.endedMs.get(`${session.id}/${session.connection}`), session.timeoutMs ?? 0);
  }

  private early(entry: Entry, what: string, endedMs: number | undefined, promisedMs: number): void {
    if (endedMs === undefined || entry.timeMs >= endedMs + promisedMs) return;
    violated(
      "never expired early",
      entry,
      `${what} expired ${entry.timeMs - endedMs} ms after its connection ended; promised were ${promisedMs} ms`,
    );
  }

  private note(entry: Entry): void {
    for (const { id, connection, connected } of entry.view.sessions()) {
      const known = this.sessions.get(id ?? 0);
      const number = connection ?? 0;
      if (known?.connected && (number !== known.number || !connected))
        this.endedMs.set(`${id}/${known.number}`, entry.timeMs);
      this.sessions.set(id ?? 0, { number, connected: connected ?? false });
    }
  }
}

function deletes(entry: Entry, handle: v1.IHandleRecord): void {
  if (handle.state !== OPEN || !(handle.deleteOnCloseInitial || handle.deleteOnCloseSet)) return;
  // The mark may have gone on to a handle that has expired too by now.
  for (const effect of entry.view.effects())
    if (effect.kind === DELETE && effect.fileId === handle.fileId) return;
  for (const other of entry.view.handlesOfFile(handle.share ?? "", handle.path ?? "")) {
    const holds = other.state === OPEN || (other.state === 1 && other.effectId);
    if (holds && other.fileId === handle.fileId && other.deleteOnCloseSet) return;
  }
  violated(
    "delete at expiry",
    entry,
    `${handle.share}:${handle.path} was marked, and nobody is to delete it`,
  );
}
