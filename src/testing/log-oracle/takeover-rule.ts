import type { v1 } from "../../wire/index.js";
import { type Entry, type Finish, key, type Rule, UP, violated } from "./rule.js";

/** EFFECT_DELETE, EFFECT_RENAME, EFFECT_FOREIGN. */
const [DELETE, RENAME, FOREIGN] = [4, 5, 20];

/**
 * When a node is gone, what it left undone has a new owner, and nothing is deleted because of it (semantics.md C3, C4).
 */
export class TakeoverRule implements Rule {
  begin(entry: Entry): Finish | null {
    const gone = entry.command.nodeDown?.node ?? entry.command.registerNode?.node?.name;
    if (!gone) return null;
    const deletes = deletesIn(entry);
    return (applied) => {
      if (applied.result.error) return;
      for (const id of deletesIn(entry))
        if (!deletes.has(id))
          violated("delete on crash", entry, `effect ${id} deletes a file because ${gone} died`);
      for (const effect of entry.view.effects()) if (effect.owner === gone) handedOver(entry, effect);
    };
  }
}

/** Removals that no call asked for. One that a client asked for may have waited for a handle that is closed now. */
function deletesIn(entry: Entry): Set<number> {
  const found = new Set<number>();
  for (const effect of entry.view.effects())
    if (effect.kind === DELETE && effect.expiry) found.add(effect.id ?? 0);
  return found;
}

function handedOver(entry: Entry, effect: v1.IEffectRecord): void {
  if (effect.kind === FOREIGN) return;
  const session = entry.view.session(effect.sessionId ?? 0);
  const heir = session && entry.view.node(session.owner ?? "");
  if (!heir || heir.status !== UP || heir.incarnation !== session.ownerIncarnation) return;
  if (effect.owner === heir.name && effect.ownerIncarnation === heir.incarnation) return;
  violated(
    "effect handed over",
    entry,
    `effect ${effect.id} stays with ${effect.owner}/${effect.ownerIncarnation}; its session is ${heir.name}'s`,
  );
}

/** Nobody gets what another principal, or a connection that still lives, has in hand (semantics.md A6). */
export class PrincipalRule implements Rule {
  begin(entry: Entry): Finish | null {
    const { connectSession, reconnectHandle, openHandle } = entry.command;
    if (connectSession) return resumed(entry, connectSession);
    const command = reconnectHandle ?? openHandle;
    if (!command) return null;
    const caller = entry.view.session(command.fence?.sessionId ?? 0)?.principal;
    const held = reconnectHandle?.handleId?.length ? entry.view.handle(reconnectHandle.handleId) : undefined;
    return ({ result }) => {
      if (result.error || result.repeated) return;
      const got = result.open?.handle;
      if (got && got.principal !== caller)
        violated("wrong principal", entry, `${caller} was given a handle of ${got.principal}`);
      if (held?.connected && !entry.comesBack && !neverHeard(reconnectHandle, held))
        violated(
          "connected handle stolen",
          entry,
          `handle ${key(held.id).slice(0, 8)} is in its client's hand`,
        );
    };
  }
}

/** The repeat of a resume whose answer its client has not got: the volatile id that it knows is not the present one. */
function neverHeard(command: v1.IReconnectHandle | null | undefined, held: v1.IHandleRecord): boolean {
  const known = command?.volatileId ?? 0;
  return held.sessionId === command?.fence?.sessionId && known !== 0 && known !== held.volatileId;
}

function resumed(entry: Entry, command: v1.IConnectSession): Finish | null {
  const session = entry.view.session(command.sessionId ?? 0);
  if (!session) return null;
  const right =
    session.principal === (command.principal ?? "") &&
    key(session.clientGuid) === key(command.clientGuid) &&
    key(session.resumeToken) === key(command.resumeToken);
  return ({ result }) => {
    if (!right && !result.error)
      violated(
        "wrong principal",
        entry,
        `${command.principal} was given session ${session.id} of ${session.principal}`,
      );
  };
}

/** Names: an open counts only if nothing changed since it looked, and nobody's path changes under his feet (C3, C4). */
export class NameRule implements Rule {
  private readonly changed = new Map<string, number>();

  begin(entry: Entry): Finish | null {
    const { openHandle, finishEffect, beginEffect } = entry.command;
    const effect = beginEffect?.effect;
    if (effect?.kind === RENAME && effect.directory) return renames(entry, beginEffect as v1.IBeginEffect);
    if (openHandle) return this.looked(entry, openHandle);
    if (!finishEffect || finishEffect.error) return null;
    for (const one of entry.view.effects()) {
      if (one.id !== finishEffect.effectId || !CHANGES_NAMES.has(one.kind ?? 0)) continue;
      // Only a rename takes its old name away too.
      const paths = one.kind === RENAME ? [one.path, one.targetPath] : [one.targetPath || one.path];
      const { share } = one;
      return ({ result }) => {
        if (result.error) return;
        for (const path of paths) this.changed.set(`${share}:${path}`, entry.index);
      };
    }
    return null;
  }

  private looked(entry: Entry, open: v1.IOpenHandle): Finish {
    const changed = this.changed.get(`${open.share}:${open.path}`) ?? 0;
    const looked = open.observed?.revision ?? 0;
    return ({ result }) => {
      const { open: answer } = result;
      // 3 is PARKED.
      if (result.error || result.repeated || !answer || answer.replayed || answer.status === 3) return;
      if (looked < changed)
        violated(
          "outdated observation",
          entry,
          `${open.share}:${open.path} was looked at as of ${looked} and changed at ${changed}`,
        );
    };
  }
}

/** CREATE, SUPERSEDE, DELETE, RENAME, LINK, MKDIR. */
const CHANGES_NAMES: ReadonlySet<number> = new Set([1, 3, 4, 5, 6, 9]);

function renames(entry: Entry, command: v1.IBeginEffect): Finish {
  return ({ result }) => {
    // 2 is PERFORM.
    if (result.error || result.repeated || result.effect?.status !== 2) return;
    const above = `${result.effect.effect?.path ?? command.effect?.path}/`;
    const share = result.effect.effect?.share ?? command.effect?.share;
    for (const handle of entry.view.handles())
      if (handle.state === 2 && handle.share === share && handle.path?.startsWith(above))
        violated("rename above an open", entry, `${handle.share}:${handle.path} is open`);
  };
}
