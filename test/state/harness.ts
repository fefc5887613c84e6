import assert from "node:assert/strict";
import type { StateMachine } from "../../src/state/index.js";
import { createStateMachine } from "../../src/state/index.js";
import { v1 } from "../../src/wire/index.js";

/** Sixteen bytes that read well in a failure. */
export function guid(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = i < text.length ? text.charCodeAt(i) : 0x2e;
  return bytes;
}

export const READ = 0x1;
export const WRITE = 0x2;
export const DELETE = 0x10000;
export const ATTRIBUTES = 0x80;
export const ALL = READ | WRITE | DELETE | 0x100 | ATTRIBUTES;
export const SHARE_ALL: v1.IShareMode = { read: true, write: true, delete: true };
export const SHARE_NONE: v1.IShareMode = {};

export const R = 1;
export const RH = 3;
export const RW = 5;
export const RWH = 7;

/** A client with one session, as a test drives it. */
export interface Client {
  readonly name: string;
  readonly guid: Uint8Array;
  readonly token: Uint8Array;
  readonly principal: string;
  sessionId: number;
}

/** What a test says about an open; everything else has a plain default. */
export interface OpenSpec {
  readonly path?: string;
  readonly share?: string;
  readonly id?: string;
  readonly guid?: string;
  readonly access?: number;
  readonly shareMode?: v1.IShareMode;
  readonly disposition?: v1.Disposition;
  readonly kind?: v1.HandleKind;
  readonly lease?: number;
  readonly leaseKey?: string;
  readonly leaseEpoch?: number;
  readonly leaseVersion?: number;
  readonly parentKey?: string;
  readonly replay?: boolean;
  readonly deleteOnClose?: boolean;
  readonly timeoutMs?: number;
  readonly request?: v1.IRequestId;
  readonly appInstance?: v1.IAppInstance;
  readonly directory?: boolean;
  readonly observed?: v1.IObservedFile;
  readonly orphans?: boolean;
  readonly channelSequence?: number;
}

/**
 * One state machine with a fake file system beside it: files are names with ids, effects are performed when the test says
 * so. Every command goes through its encoding, as it would in the log; a twin machine that is loaded from the dirty
 * records now and then has to agree to the last bit.
 */
export class World {
  machine: StateMachine = createStateMachine();
  index = 0;
  nowMs = 1_000_000;
  events: v1.IEvent[] = [];
  readonly disk = new Map<string, Uint8Array>();
  /** False: a test answers "lock-prepare" of a closed tail itself. */
  closesTails = true;
  readonly files = new Map<string, { id: string; directory: boolean }>();
  #files = 0;
  #ids = 0;

  constructor(options: { readonly nodes?: readonly string[]; readonly share?: v1.IShareRecord } = {}) {
    this.run({
      initCluster: {
        clusterId: "test",
        formatVersion: 1,
        shares: [
          { name: "ca", continuouslyAvailable: true },
          { name: "plain" },
          { name: "so", continuouslyAvailable: true, scaleOut: true },
          ...(options.share ? [options.share] : []),
        ],
      },
    });
    for (const name of options.nodes ?? ["n1", "n2", "n3"]) this.register(name, 1);
  }

  register(name: string, incarnation: number, more: v1.INodeRecord = {}): v1.ICommandResult {
    return this.run({
      registerNode: {
        node: { name, incarnation, grpcAddress: `${name}:1`, httpAddress: `${name}:2`, ...more },
      },
    });
  }

  /** Applies a command as it would come out of the log. */
  run(command: v1.ICommand): v1.ICommandResult {
    this.index++;
    const decoded = v1.Command.decode(v1.Command.encode(command).finish());
    const { result, events } = this.machine.apply(decoded, { index: this.index, clusterTimeMs: this.nowMs });
    this.events = [...events];
    return this.closesTails ? this.closeTails(result) : result;
  }

  /** Nodes of which nothing is to be seen answer at once that they write nothing at the end of a file. */
  private closeTails(result: v1.ICommandResult): v1.ICommandResult {
    const { events } = this;
    const asked = events.filter(({ lockPrepare }) => lockPrepare?.tail);
    for (const { node, lockPrepare } of asked) {
      const nodeIncarnation = this.machine.node(node ?? "")?.incarnation ?? 0;
      this.run({
        lockPrepared: { node: node ?? "", nodeIncarnation, pendingId: lockPrepare?.pendingId ?? 0 },
      });
      events.push(...this.events);
    }
    this.events = events;
    const parked = result.open?.pendingId || result.effect?.pendingId || 0;
    const done = events.find(({ pendingDone }) => parked !== 0 && pendingDone?.pendingId === parked);
    return done?.pendingDone?.result ?? result;
  }

  /** Applies a command that has to work. */
  ok(command: v1.ICommand): v1.ICommandResult {
    const result = this.run(command);
    assert(!result.error, `refused: ${result.error?.message}`);
    return result;
  }

  /** Applies a command that has to be refused in this way. */
  refused(command: v1.ICommand, code: v1.ErrorCode): v1.ICommandResult {
    const result = this.run(command);
    assertCode(result, code);
    return result;
  }

  /** Writes the dirty records to the fake disk, and goes on with a machine that is loaded from it. */
  restart(): void {
    const digest = this.machine.digest();
    this.flush();
    const loaded = createStateMachine();
    const records = [...this.disk.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
    loaded.load(records.map(([key, value]) => ({ key: Buffer.from(key, "latin1"), value })));
    loaded.finishLoad();
    assert.equal(loaded.digest(), digest, "the loaded state differs");
    this.machine = loaded;
  }

  flush(): void {
    for (const { key, value } of this.machine.takeDirty()) {
      const id = Buffer.from(key).toString("latin1");
      if (value === null) this.disk.delete(id);
      else this.disk.set(id, Uint8Array.from(value));
    }
  }

  client(name: string, node = "n1", more: Partial<v1.IOpenSession> = {}): Client {
    const client: Client = {
      name,
      guid: guid(`client-${name}`),
      token: guid(`token-${name}-${more.previousSessionId ?? 0}`),
      principal: more.principal ?? name,
      sessionId: 0,
    };
    const result = this.ok({
      openSession: {
        clientGuid: client.guid,
        principal: client.principal,
        clientName: name,
        node,
        nodeIncarnation: this.machine.node(node)?.incarnation ?? 0,
        resumeToken: client.token,
        timeoutMs: 60_000,
        ...more,
      },
    });
    client.sessionId = result.session?.id ?? 0;
    return client;
  }

  session(client: Client): v1.ISessionRecord {
    const session = this.machine.session(client.sessionId);
    assert(session, `session of ${client.name} is gone`);
    return session;
  }

  fence(client: Client): v1.IFence {
    const session = this.machine.session(client.sessionId);
    return {
      sessionId: client.sessionId,
      epoch: session?.epoch ?? 0,
      node: session?.owner ?? "",
      nodeIncarnation: session?.ownerIncarnation ?? 0,
    };
  }

  /** A file that exists before the test begins. */
  file(path: string, directory = false, share = "ca"): string {
    const id = `f${++this.#files}`;
    this.files.set(`${share}:${path}`, { id, directory });
    return id;
  }

  openCommand(client: Client, spec: OpenSpec): v1.ICommand {
    const share = spec.share ?? "ca";
    const path = spec.path ?? "file";
    const there = this.files.get(`${share}:${path}`);
    const open: v1.IOpenHandle = {
      fence: this.fence(client),
      handleId: guid(spec.id ?? `h${++this.#ids}`),
      share,
      path,
      desiredAccess: spec.access ?? READ | WRITE,
      shareMode: spec.shareMode ?? SHARE_ALL,
      disposition: spec.disposition ?? v1.Disposition.OPEN_IF,
      kind: spec.kind ?? v1.HandleKind.PERSISTENT,
      replay: spec.replay ?? false,
      deleteOnClose: spec.deleteOnClose ?? false,
      timeoutMs: spec.timeoutMs ?? 0,
      wantDirectory: spec.directory ?? false,
      closeMyOrphans: spec.orphans ?? false,
      channelSequence: spec.channelSequence ?? 0,
      observed: spec.observed ?? {
        exists: there !== undefined,
        fileId: there?.id ?? "",
        directory: there?.directory ?? false,
        revision: this.index,
      },
    };
    if (spec.guid !== undefined) open.createGuid = guid(spec.guid);
    if (spec.request) open.request = spec.request;
    if (spec.appInstance) open.appInstance = spec.appInstance;
    if (spec.leaseKey !== undefined)
      open.lease = {
        key: guid(spec.leaseKey),
        state: spec.lease ?? 0,
        epoch: spec.leaseEpoch ?? 0,
        version: spec.leaseVersion ?? 2,
        ...(spec.parentKey === undefined ? {} : { parentKey: guid(spec.parentKey) }),
      };
    return { openHandle: open };
  }

  /** Opens and performs whatever effect that takes; the answer is the final one, or that of a parked call. */
  open(client: Client, spec: OpenSpec = {}): v1.ICommandResult {
    return this.perform(this.run(this.openCommand(client, spec)));
  }

  /** Opens, which has to work, and gives the handle. */
  opened(client: Client, spec: OpenSpec = {}): v1.IHandleRecord {
    const result = this.open(client, spec);
    assert.equal(result.error, undefined, `open refused: ${result.error?.message}`);
    assert.equal(result.open?.status, v1.OpenResult.Status.DONE, "the open is parked");
    assert(result.open?.handle);
    return result.open.handle;
  }

  /** Performs the effect of an answer on the fake files and records its outcome. */
  perform(result: v1.ICommandResult, error?: v1.IErrorDetail): v1.ICommandResult {
    const effect = effectOf(result);
    return effect ? this.finish(effect, error) : result;
  }

  finish(effect: v1.IEffectRecord, error?: v1.IErrorDetail): v1.ICommandResult {
    const fileId = error ? "" : this.change(effect);
    return this.run({
      finishEffect: {
        node: effect.owner ?? "",
        nodeIncarnation: effect.ownerIncarnation ?? 0,
        effectId: effect.id ?? 0,
        fileId,
        ...(error ? { error } : {}),
      },
    });
  }

  /** What an effect does to the fake files; answers the file id. */
  change(effect: v1.IEffectRecord): string {
    const at = `${effect.share}:${effect.path}`;
    const to = `${effect.share}:${effect.targetPath}`;
    const there = this.files.get(at);
    switch (effect.kind) {
      case v1.EffectKind.EFFECT_CREATE:
      case v1.EffectKind.EFFECT_SUPERSEDE:
      case v1.EffectKind.EFFECT_MKDIR: {
        const directory = effect.directory === true || effect.kind === v1.EffectKind.EFFECT_MKDIR;
        const id = `f${++this.#files}`;
        this.files.set(at, { id, directory });
        return id;
      }
      case v1.EffectKind.EFFECT_DELETE:
        this.files.delete(at);
        return effect.fileId ?? "";
      case v1.EffectKind.EFFECT_RENAME:
        for (const [path, file] of [...this.files]) {
          if (path !== at && !path.startsWith(`${at}/`)) continue;
          this.files.delete(path);
          this.files.set(to + path.slice(at.length), file);
        }
        return effect.fileId ?? "";
      case v1.EffectKind.EFFECT_LINK:
        if (there) this.files.set(to, there);
        return effect.fileId ?? "";
      default:
        return effect.fileId ?? "";
    }
  }

  close(
    client: Client,
    handle: v1.IHandleRecord,
    request?: v1.IRequestId,
    more: Partial<v1.ICloseHandle> = {},
  ): v1.ICommandResult {
    return this.perform(
      this.run({
        closeHandle: {
          fence: this.fence(client),
          handleId: handle.id ?? null,
          ...(request ? { request } : {}),
          ...more,
        },
      }),
    );
  }

  lockCommand(
    client: Client,
    handle: v1.IHandleRecord,
    elements: v1.ILockElement[],
    more: Partial<v1.ILock> = {},
  ): v1.ICommand {
    return { lock: { fence: this.fence(client), handleId: handle.id ?? null, elements, ...more } };
  }

  lock(
    client: Client,
    handle: v1.IHandleRecord,
    offset: number,
    length: number,
    more: Partial<v1.ILockElement> & { readonly bucket?: readonly [number, number] } = {},
  ): v1.ICommandResult {
    const { bucket, ...element } = more;
    return this.run(
      this.lockCommand(
        client,
        handle,
        [{ offset, length, exclusive: true, failImmediately: true, ...element }],
        bucket ? { sequenceIndex: bucket[0], sequenceNumber: bucket[1] } : {},
      ),
    );
  }

  unlock(client: Client, handle: v1.IHandleRecord, offset: number, length: number): v1.ICommandResult {
    return this.lock(client, handle, offset, length, { unlock: true });
  }

  /** The client's connection breaks and its owner notices. */
  disconnect(client: Client): void {
    const session = this.session(client);
    this.ok({
      disconnectSession: { fence: this.fence(client), connection: session.connection ?? 0 },
    });
  }

  connectCommand(client: Client, node?: string): v1.ICommand {
    const session = this.session(client);
    const at = node ?? session.owner ?? "";
    return {
      connectSession: {
        sessionId: client.sessionId,
        clientGuid: client.guid,
        principal: client.principal,
        resumeToken: client.token,
        node: at,
        nodeIncarnation: this.machine.node(at)?.incarnation ?? 0,
      },
    };
  }

  connect(client: Client, node?: string): void {
    this.ok(this.connectCommand(client, node));
    this.settle(client);
  }

  /** Finishes what the new owner inherited. */
  settle(client: Client): void {
    if (!this.session(client).takenOver) return;
    for (const effect of [...this.machine.effects()])
      if (effect.sessionId === client.sessionId) this.finish(effect);
    this.ok({ takeoverDone: { fence: this.fence(client) } });
  }

  reconnectCommand(
    client: Client,
    handle: v1.IHandleRecord,
    more: Partial<v1.IReconnectHandle> = {},
  ): v1.ICommand {
    const command: v1.IReconnectHandle = {
      fence: this.fence(client),
      handleId: handle.id ?? null,
      createGuid: handle.createGuid ?? null,
      persistent: handle.kind === v1.HandleKind.PERSISTENT,
    };
    if (handle.leaseKey?.length)
      command.lease = { key: handle.leaseKey, version: handle.leaseVersion ?? 2, state: 0 };
    return { reconnectHandle: { ...command, ...more } };
  }

  reconnect(
    client: Client,
    handle: v1.IHandleRecord,
    more: Partial<v1.IReconnectHandle> = {},
  ): v1.ICommandResult {
    return this.run(this.reconnectCommand(client, handle, more));
  }

  /** Declares the owner of a client's session dead. */
  kill(node: string): void {
    this.ok({
      nodeDown: { node, incarnation: this.machine.node(node)?.incarnation ?? 0, cause: "killed by the test" },
    });
  }

  /** Lets time pass and applies what becomes due. */
  pass(ms: number): v1.ICommandResult[] {
    this.nowMs += ms;
    this.run({ advanceTime: {} });
    const results: v1.ICommandResult[] = [];
    for (let round = 0; round < 100; round++) {
      const due = this.machine.due(this.nowMs, 100);
      if (due.length === 0) return results;
      for (const command of due) results.push(this.run(command));
    }
    throw new Error("what is due does not come to an end");
  }

  handle(handle: v1.IHandleRecord): v1.IHandleRecord {
    const record = this.machine.handle(handle.id ?? new Uint8Array());
    assert(record, "the handle is gone");
    return record;
  }

  lease(client: Client, key: string): v1.ILeaseRecord | undefined {
    return this.machine.lease(client.guid, guid(key));
  }

  ack(client: Client, key: string, state: number): v1.ICommandResult {
    return this.run({
      ackLease: { fence: this.fence(client), clientGuid: client.guid, key: guid(key), state },
    });
  }

  eventsOf(kind: string): v1.IEvent[] {
    return this.events.filter((event) => event.kind === kind);
  }
}

/** The effect that an answer asks to perform. */
export function effectOf(result: v1.ICommandResult): v1.IEffectRecord | null {
  if (result.open?.status === v1.OpenResult.Status.PERFORM) return result.open.effect ?? null;
  if (result.effect?.status === v1.EffectResult.Status.PERFORM) return result.effect.effect ?? null;
  if (result.close?.perform) return result.close.effect ?? null;
  return null;
}

/** Asserts the code of a refusal by its name. */
export function assertCode(result: v1.ICommandResult, code: v1.ErrorCode): void {
  assert.equal(
    v1.ErrorCode[result.error?.code ?? 0],
    v1.ErrorCode[code],
    result.error?.message ?? `not refused: ${JSON.stringify(result)}`,
  );
}

/** True when a call waits. */
export function isParked(result: v1.ICommandResult): boolean {
  return (
    result.open?.status === v1.OpenResult.Status.PARKED ||
    result.effect?.status === v1.EffectResult.Status.PARKED ||
    result.lock?.parked === true
  );
}
