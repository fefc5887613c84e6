import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { FakeNetwork, type ServerStream } from "./fake-network.js";
import type { World } from "./world.js";

/** A frame as a node got it, for assertions about what is sent again. */
export interface Seen {
  readonly node: string;
  readonly atMs: number;
  readonly request: v1.FileRequest;
}

interface FakeHandle {
  readonly persistent: Uint8Array;
  volatile: number;
  readonly createGuid: string;
  readonly path: string;
  open: boolean;
  connectedTo: FakeStream | null;
}

/** An answer to give instead of the usual one; null lets the call through. */
export type Interfere = (request: v1.FileRequest, node: string) => v1.IFileResponse | null | "silence";

/**
 * Just enough of a cluster to judge a client by: one session with an owner and an epoch, a reply cache by slot and
 * sequence as semantics.md B6 has it, handles that must be reconnected before use, files, locks. Every effect is
 * counted, so that doing something twice shows.
 */
export class FakeCluster {
  readonly network: FakeNetwork;
  readonly seen: Seen[] = [];
  readonly files = new Map<string, Uint8Array>();
  readonly handles = new Map<string, FakeHandle>();
  readonly locks = new Map<string, string>();
  readonly nodes = new Map<string, FakeNode>();
  readonly effects: string[] = [];
  /** slot -> its last sequence, request digest and reply. */
  readonly slots = new Map<number, { sequence: number; digest: string; reply: v1.IFileResponse }>();
  owner: string;
  epoch = 1;
  sessions = 0;
  sessionId = 0;
  sessionIsGone = false;
  interfere: Interfere = () => null;
  nextVolatile = 1;
  /** Handles that come with a session step are taken up in it, as our nodes do; false: as nodes did before. */
  takesHandlesAlong = false;
  constructor(
    readonly world: World,
    names: readonly string[] = ["n1", "n2", "n3"],
  ) {
    this.network = new FakeNetwork(world);
    for (const name of names) {
      const node = new FakeNode(this, name);
      this.nodes.set(name, node);
      this.network.add(address(name), node);
    }
    this.owner = names[0] as string;
  }

  get addresses(): string[] {
    return [...this.nodes.keys()].map(address);
  }

  link(name: string) {
    const node = this.network.nodes.get(address(name));
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** The process dies: streams reset, connections refused. */
  kill(name: string): void {
    this.link(name).reachability = "refuse";
    this.network.cut(address(name));
  }

  /** The cluster gives the session to another node. */
  giveTo(name: string): void {
    this.owner = name;
    this.epoch += 1;
    for (const handle of this.handles.values()) handle.connectedTo = null;
  }

  /** Requests of one kind that reached a node. */
  requests(kind: string): Seen[] {
    return this.seen.filter((seen) => seen.request.body === kind);
  }
}

export function address(name: string): string {
  return `${name}:7401`;
}

function hex(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}

class FakeStream {
  attached = false;
  constructor(readonly out: ServerStream<v1.IFileResponse>) {}
}

/** A node of the fake cluster. */
export class FakeNode {
  readonly streams = new Set<FakeStream>();
  constructor(
    readonly cluster: FakeCluster,
    readonly name: string,
  ) {}

  accept(out: ServerStream<v1.IFileResponse>) {
    const stream = new FakeStream(out);
    this.streams.add(stream);
    return {
      onMessage: (request: v1.IFileRequest) => this.#onMessage(stream, request as v1.FileRequest),
      onClosed: () => this.#forget(stream),
    };
  }

  notify(notice: v1.INotice): void {
    for (const stream of this.streams) if (stream.attached) stream.out.send({ id: 0, notice });
  }

  #forget(stream: FakeStream): void {
    this.streams.delete(stream);
    for (const handle of this.cluster.handles.values())
      if (handle.connectedTo === stream) handle.connectedTo = null;
  }

  #onMessage(stream: FakeStream, request: v1.FileRequest): void {
    const { cluster } = this;
    cluster.seen.push({ node: this.name, atMs: cluster.world.nowMs, request });
    const other = cluster.interfere(request, this.name);
    if (other === "silence") return;
    const answer = other ?? this.#answer(stream, request);
    stream.out.send({ ...answer, id: request.id });
  }

  #answer(stream: FakeStream, request: v1.FileRequest): v1.IFileResponse {
    if (request.ping) return { done: {} };
    if (request.attach?.open) return this.#open(stream);
    if (request.attach?.resume) return this.#resume(stream, request.attach.reconnects ?? []);
    if (!stream.attached) return refuse(ErrorCode.INVALID_ARGUMENT, "attach first");
    if (this.cluster.owner !== this.name) return this.#notOwner();
    return this.#once(request, () => this.#perform(stream, request));
  }

  #notOwner(): v1.IFileResponse {
    const { owner, epoch } = this.cluster;
    return {
      error: {
        code: ErrorCode.NOT_OWNER,
        message: `owned by ${owner}`,
        owner: { node: owner, grpcAddress: address(owner) },
        epoch,
      },
    };
  }

  #open(stream: FakeStream): v1.IFileResponse {
    const { cluster } = this;
    cluster.sessions += 1;
    cluster.sessionId = cluster.sessions;
    cluster.owner = this.name;
    stream.attached = true;
    return { session: this.#info() };
  }

  #resume(stream: FakeStream, handles: readonly v1.IReconnectRequest[]): v1.IFileResponse {
    if (this.cluster.sessionIsGone) return refuse(ErrorCode.UNKNOWN_SESSION, "no such session");
    if (this.cluster.owner !== this.name) return this.#notOwner();
    stream.attached = true;
    if (!this.cluster.takesHandlesAlong) return { session: this.#info() };
    const reconnected = handles.map((handle) => this.#reconnect(stream, handle));
    return { session: { ...this.#info(), reconnected } };
  }

  #info(): v1.ISessionInfo {
    const { cluster } = this;
    return {
      sessionId: cluster.sessionId,
      resumeToken: new Uint8Array(16).fill(7),
      epoch: cluster.epoch,
      owner: { node: this.name, grpcAddress: address(this.name) },
      nodes: [...cluster.nodes.keys()].map((name) => ({ node: name, grpcAddress: address(name) })),
      slots: 8,
      chunkBytesMax: 1_024,
      timeoutMs: 60_000,
      shares: ["demo"],
    };
  }

  #once(request: v1.FileRequest, perform: () => v1.IFileResponse): v1.IFileResponse {
    const id = request.context?.request;
    if (!id) return perform();
    const slot = this.cluster.slots.get(id.slot ?? 0) ?? { sequence: 0, digest: "", reply: {} };
    const digest = digestOf(request);
    if (id.sequence === slot.sequence)
      return slot.digest === digest ? slot.reply : refuse(ErrorCode.REQUEST_MISMATCH, "other arguments");
    if (id.sequence !== slot.sequence + 1)
      return refuse(ErrorCode.SEQUENCE_MISORDERED, `last is ${slot.sequence}`);
    const reply = perform();
    this.cluster.slots.set(id.slot ?? 0, { sequence: id.sequence, digest, reply });
    return reply;
  }

  #perform(stream: FakeStream, request: v1.FileRequest): v1.IFileResponse {
    const { cluster } = this;
    if (request.open) return this.#openHandle(stream, request.open);
    if (request.reconnect) return this.#reconnect(stream, request.reconnect);
    if (request.closeSession) {
      cluster.effects.push("close-session");
      return { done: {} };
    }
    if (request.resolve) return this.#resolve(request.resolve);
    if (request.cancel) return { done: {} };
    if (request.makeDirectory) {
      cluster.effects.push(`mkdir ${request.makeDirectory.path}`);
      return { done: {} };
    }
    return this.#onHandle(stream, request);
  }

  #openHandle(stream: FakeStream, open: v1.IOpenRequest): v1.IFileResponse {
    const { cluster } = this;
    const guid = hex(open.createGuid);
    const persistent = Buffer.alloc(16, cluster.handles.size + 1);
    const handle: FakeHandle = {
      persistent,
      volatile: cluster.nextVolatile++,
      createGuid: guid,
      path: open.path ?? "",
      open: true,
      connectedTo: stream,
    };
    cluster.handles.set(hex(persistent), handle);
    const empty = open.disposition === v1.Disposition.OVERWRITE_IF || !cluster.files.has(handle.path);
    if (empty) cluster.files.set(handle.path, new Uint8Array(0));
    cluster.effects.push(`open ${handle.path}`);
    return { open: this.#openReply(handle, open.kind ?? v1.HandleKind.PERSISTENT) };
  }

  #openReply(handle: FakeHandle, kind: v1.HandleKind): v1.IOpenReply {
    const size = this.cluster.files.get(handle.path)?.length ?? 0;
    return {
      handle: { persistent: handle.persistent, volatile: handle.volatile },
      createAction: v1.CreateAction.CREATED,
      kind,
      info: { size, name: handle.path },
    };
  }

  #reconnect(stream: FakeStream, reconnect: v1.IReconnectRequest): v1.IFileResponse {
    const handle = this.cluster.handles.get(hex(reconnect.handleId));
    if (handle === undefined || !handle.open || handle.createGuid !== hex(reconnect.createGuid))
      return refuse(ErrorCode.OBJECT_NAME_NOT_FOUND, "no such handle");
    handle.volatile = this.cluster.nextVolatile++;
    handle.connectedTo = stream;
    const reply = this.#openReply(handle, v1.HandleKind.PERSISTENT);
    return { open: { ...reply, createAction: v1.CreateAction.OPENED } };
  }

  #resolve(resolve: v1.IResolveRequest): v1.IFileResponse {
    const slot = this.cluster.slots.get(resolve.request?.slot ?? 0);
    const known = slot !== undefined && slot.sequence === resolve.request?.sequence;
    return { resolve: known ? { known, response: slot.reply } : { known } };
  }

  #onHandle(stream: FakeStream, request: v1.FileRequest): v1.IFileResponse {
    const body =
      request.write ?? request.read ?? request.lock ?? request.close ?? request.stat ?? request.flush ?? null;
    const handle = this.cluster.handles.get(hex(body?.handle?.persistent));
    const valid = handle?.open && handle.connectedTo === stream && handle.volatile === body?.handle?.volatile;
    if (!valid) return refuse(ErrorCode.FILE_CLOSED, "no such handle on this connection");
    if (request.write) return this.#write(handle, request.write);
    if (request.read) return this.#read(handle, request.read);
    if (request.lock) return this.#lock(handle, request.lock);
    if (request.flush) return { done: {} };
    if (request.stat) return { stat: { info: { size: this.cluster.files.get(handle.path)?.length ?? 0 } } };
    handle.open = false;
    this.cluster.effects.push(`close ${handle.path}`);
    return { close: { info: {} } };
  }

  #write(handle: FakeHandle, write: v1.IWriteRequest): v1.IFileResponse {
    const { files, effects } = this.cluster;
    const old = files.get(handle.path) ?? new Uint8Array(0);
    const data = write.data ?? new Uint8Array(0);
    const offset = write.append ? old.length : (write.offset ?? 0);
    const grown = new Uint8Array(Math.max(old.length, offset + data.length));
    grown.set(old);
    grown.set(data, offset);
    files.set(handle.path, grown);
    effects.push(`${write.append ? "append" : "write"} ${handle.path} ${data.length}`);
    return { write: { written: data.length, offset } };
  }

  #read(handle: FakeHandle, read: v1.IReadRequest): v1.IFileResponse {
    const content = this.cluster.files.get(handle.path) ?? new Uint8Array(0);
    const from = read.offset ?? 0;
    const data = content.subarray(from, from + (read.length ?? 0));
    return { read: { data, endOfFile: from + data.length >= content.length } };
  }

  #lock(handle: FakeHandle, lock: v1.ILockRequest): v1.IFileResponse {
    const { locks, effects } = this.cluster;
    const element = lock.elements?.[0] ?? {};
    const key = `${handle.path} ${element.offset}+${element.length}`;
    if (element.unlock) {
      if (locks.get(key) !== hex(handle.persistent)) return refuse(ErrorCode.RANGE_NOT_LOCKED, key);
      locks.delete(key);
      effects.push(`unlock ${key}`);
      return { lock: {} };
    }
    if (locks.has(key)) return refuse(ErrorCode.LOCK_NOT_GRANTED, key);
    locks.set(key, hex(handle.persistent));
    effects.push(`lock ${key}`);
    return { lock: {} };
  }
}

/** What a repeat must agree in: everything but context, call id, deadline and volatile id. */
function digestOf(request: v1.FileRequest): string {
  const plain = v1.FileRequest.toObject(request, { bytes: String }) as Record<string, unknown>;
  const text = JSON.stringify({ ...plain, id: 0, context: null, deadlineMs: 0 });
  return text.replace(/"volatile":\d+/g, "");
}

export function refuse(code: ErrorCode, message: string): v1.IFileResponse {
  return { error: { code, message } };
}
