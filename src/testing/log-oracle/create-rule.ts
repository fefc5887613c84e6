import type { Applied } from "../../state/api.js";
import type { v1 } from "../../wire/index.js";
import { type Entry, type Finish, key, PERSISTENT, type Rule, violated } from "./rule.js";

interface Body {
  readonly handleId?: Uint8Array | null;
  readonly effect?: v1.IEffectRecord | null;
}

interface Create {
  readonly handle: string;
  /** Where the handle is: resuming and moving may bring it into another session, and its tombstone goes with that one. */
  session: number;
  /** "tried": a use was refused, which the table may count or not. */
  state: "answerable" | "tried" | "used" | "closed";
}

/** Commands on a handle that show that its client saw the create's reply. */
const USES: ReadonlySet<string> = new Set([
  "reconnectHandle",
  "lock",
  "useHandle",
  "breakLeases",
  "setDisposition",
  "beginEffect",
  "ackLease",
]);
const CLOSED: ReadonlySet<string> = new Set(["handle-closed", "handle-forced-closed", "handle-expired"]);
const ENDED: ReadonlySet<string> = new Set(["session-closed", "session-expired", "session-replaced"]);

/**
 * A create guid names one create for ever: answered again until its handle is used, refused after that, never executed
 * twice (semantics.md B2). Persistent handles only: what is less may be opened again under its guid.
 */
export class CreateRule implements Rule {
  private readonly creates = new Map<string, Create>();
  private readonly byHandle = new Map<string, Create>();

  begin(entry: Entry): Finish {
    return (applied) => {
      this.opened(entry, applied);
      this.used(entry, applied);
      this.ended(applied);
    };
  }

  private opened(entry: Entry, { result, events }: Applied): void {
    const command = entry.command.openHandle;
    if (command && !result.error && !result.repeated && command.createGuid?.length) {
      const client = entry.view.session(command.fence?.sessionId ?? 0)?.clientGuid;
      const known = this.creates.get(`${key(client)}/${key(command.createGuid)}`);
      const got = key(result.open?.handle?.id);
      if (known !== undefined) this.again(entry, known, got, command.replay ?? false);
    }
    for (const { kind, handle } of events) {
      if (kind !== "handle-opened" || handle?.kind !== PERSISTENT || !handle.createGuid?.length) continue;
      const create: Create = { handle: key(handle.id), session: handle.sessionId ?? 0, state: "answerable" };
      this.creates.set(`${key(handle.clientGuid)}/${key(handle.createGuid)}`, create);
      this.byHandle.set(create.handle, create);
    }
  }

  private again(entry: Entry, known: Create, got: string, replay: boolean): void {
    const was = `the create of handle ${known.handle.slice(0, 8)}, which is ${known.state},`;
    if (!replay && known.state === "answerable")
      violated("create replay", entry, `${was} was executed again although it was not called a replay`);
    if (!replay) return;
    if (known.state === "used" || known.state === "closed")
      violated("create replay", entry, `${was} was replayed with success`);
    if (got !== known.handle)
      violated("create replay", entry, `the replay of ${was} was answered with handle ${got.slice(0, 8)}`);
  }

  private used(entry: Entry, { result }: Applied): void {
    const { command, name } = entry;
    if (!USES.has(name) || result.repeated) return;
    const body = command[name as keyof typeof command] as Body | undefined;
    const lease = command.ackLease && result.lease;
    const handles = lease
      ? (lease.handles ?? [])
      : [result.open?.handle?.id ?? body?.handleId ?? body?.effect?.handleId];
    for (const id of handles) {
      const create = this.byHandle.get(key(id));
      if (create === undefined || create.state === "closed" || create.state === "used") continue;
      create.state = result.error || result.lock?.parked ? "tried" : "used";
    }
  }

  private ended({ events }: Applied): void {
    for (const { kind, handleId, sessionId, handle } of events) {
      const moved = handle?.sessionId ? this.byHandle.get(key(handle.id)) : undefined;
      if (moved !== undefined) moved.session = handle?.sessionId ?? 0;
      if (CLOSED.has(kind ?? "")) {
        const create = this.byHandle.get(key(handleId));
        if (create !== undefined) create.state = "closed";
      } else if (ENDED.has(kind ?? "")) this.forget(sessionId ?? 0);
    }
  }

  /** Tombstones go with their session. */
  private forget(session: number): void {
    for (const [guid, create] of this.creates) {
      if (create.session !== session) continue;
      this.creates.delete(guid);
      this.byHandle.delete(create.handle);
    }
  }
}
