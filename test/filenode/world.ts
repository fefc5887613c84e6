import assert from "node:assert/strict";
import type { CoordinatorClient } from "../../src/coordinator/api.js";
import type { FileChannel, NodeLease, Vfs } from "../../src/filenode/api.js";
import { access } from "../../src/filenode/access.js";
import { createFileNode, type FileNodeImpl } from "../../src/filenode/file-node.js";
import type { Runtime } from "../../src/runtime/api.js";
import { createStateMachine } from "../../src/state/index.js";
import { LocalCoordinator, type LocalJournal } from "../../src/testing/local-coordinator.js";
import { MemoryShare } from "../../src/testing/memory-share.js";
import { type MemoryFaults, MemoryVfs } from "../../src/testing/memory-vfs.js";
import { Prng } from "../../src/testing/sim/prng.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";

/** A lease that tests hand out and take away. */
export class TestLease implements NodeLease {
  held = true;
  private readonly listeners = new Set<() => void>();
  constructor(readonly incarnation: number) {}
  leftMs(): number {
    return this.held ? 1000 : 0;
  }
  onLost(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Time that only tests move; timers fire when it passes them. */
export class TestTime {
  nowMs = 1000;
  private timers: { atMs: number; run: () => void }[] = [];

  advance(ms: number): void {
    this.nowMs += ms;
    const due = this.timers.filter((timer) => timer.atMs <= this.nowMs);
    this.timers = this.timers.filter((timer) => timer.atMs > this.nowMs);
    for (const timer of due) timer.run();
  }

  runtime(seed: number): Runtime {
    const log = { ...silent, child: () => log };
    return {
      clock: { monotonicMs: () => this.nowMs, wallMs: () => 1_700_000_000_000 + this.nowMs },
      random: new Prng([seed, 1, 2, 3]),
      scheduler: {
        after: (delayMs, run) => {
          const timer = { atMs: this.nowMs + delayMs, run };
          this.timers.push(timer);
          return { cancel: () => void this.timers.splice(this.timers.indexOf(timer) >>> 0, 1) };
        },
        soon: (run) => void setImmediate(run),
      },
      log,
      meter: { count() {}, gauge() {}, observe() {} },
    };
  }
}

/** A file node with what it stands on. */
export interface TestNode {
  readonly name: string;
  readonly lease: TestLease;
  readonly node: FileNodeImpl;
  readonly vfs: Vfs;
}

/** Several file nodes over one share and one state, in one thread. */
export class World {
  readonly time = new TestTime();
  readonly share = new MemoryShare(() => 1_700_000_000_000);
  readonly coordinator: LocalCoordinator;
  readonly nodes = new Map<string, TestNode>();
  private incarnations = new Map<string, number>();
  private seed = 1;

  constructor(journal?: LocalJournal) {
    this.coordinator = new LocalCoordinator(createStateMachine(), journal);
  }

  init(): void {
    const result = this.coordinator.apply({
      initCluster: {
        clusterId: "test",
        formatVersion: 1,
        members: [{ raftId: 1, name: "n1", incarnation: 1 }],
        shares: [{ name: "demo", continuouslyAvailable: true, handleTimeoutMs: 60_000, leaseMask: 7 }],
      },
    });
    assert.equal(result.error ?? null, null);
  }

  /** Starts a node, or starts it anew under its next incarnation. */
  async start(
    name: string,
    options: {
      faults?: MemoryFaults;
      vfs?: Vfs;
      fence?: "copy-on-takeover";
      coordinator?: CoordinatorClient;
    } = {},
  ): Promise<TestNode> {
    const incarnation = (this.incarnations.get(name) ?? 0) + 1;
    this.incarnations.set(name, incarnation);
    const result = this.coordinator.apply({
      registerNode: {
        node: {
          name,
          incarnation,
          grpcAddress: `${name}:1`,
          shares: ["demo"],
          labels: options.fence ? { fence: options.fence } : {},
        },
      },
    });
    assert.equal(result.error ?? null, null, JSON.stringify(result.error));
    const lease = new TestLease(incarnation);
    const vfs = options.vfs ?? new MemoryVfs(this.share, name, options.faults);
    const node = createFileNode({
      node: name,
      runtime: this.time.runtime(this.seed++),
      coordinator: options.coordinator ?? this.coordinator.client(),
      lease,
      shares: new Map([["demo", vfs]]),
      ...(options.fence ? { fence: options.fence } : {}),
    });
    const made = { name, lease, node, vfs };
    this.nodes.set(name, made);
    await node.start();
    return made;
  }

  /** A node's process is gone: it does nothing any more, and the cluster learns of it. */
  kill(node: TestNode): void {
    node.lease.held = false;
    this.nodeDown(node);
  }

  nodeDown(node: TestNode): void {
    const result = this.coordinator.apply({
      nodeDown: { node: node.name, incarnation: node.lease.incarnation, cause: "test" },
    });
    assert.equal(result.error ?? null, null, JSON.stringify(result.error));
  }
}

/** A client that says exactly what a test tells it to. */
export class TestClient {
  channel: FileChannel | null = null;
  info: v1.ISessionInfo = {};
  readonly notices: v1.INotice[] = [];
  channelSequence = 0;
  /** The node that it is connected to. */
  servedBy = "";
  private nextId = 1;
  private readonly sequences = new Map<number, number>();

  constructor(
    readonly guid: Uint8Array,
    readonly principal = "alice",
  ) {}

  static make(byte: number, principal = "alice"): TestClient {
    return new TestClient(new Uint8Array(16).fill(byte), principal);
  }

  /** Opens a session at a node. */
  async open(node: TestNode): Promise<this> {
    const response = await this.askForSession(node);
    assert.equal(response.error ?? null, null, JSON.stringify(response.error));
    return this;
  }

  /** The same, in place of another session of this client, and whatever the answer is. */
  async askForSession(node: TestNode, previousSessionId = 0): Promise<v1.IFileResponse> {
    this.dial(node);
    const open = { clientGuid: this.guid, clientName: "test", timeoutMs: 60_000, protocolVersion: 1 };
    const response = await this.ask({ attach: { open: { ...open, previousSessionId } } });
    if (response.session) this.info = response.session;
    return response;
  }

  /** Comes back to a node with its session. */
  async resume(node: TestNode): Promise<v1.IFileResponse> {
    this.dial(node);
    this.channelSequence += 1;
    const response = await this.ask({ attach: { resume: { context: this.context() } } });
    if (response.session) this.info = response.session;
    return response;
  }

  context(): v1.ICallContext {
    return {
      sessionId: this.info.sessionId ?? 0,
      clientGuid: this.guid,
      resumeToken: this.info.resumeToken ?? null,
      protocolVersion: 1,
      channelSequence: this.channelSequence,
    };
  }

  /** The connection breaks. */
  hangUp(): void {
    this.channel?.close();
    this.channel = null;
  }

  /** Sends a request as it is. */
  ask(
    request: v1.IFileRequest,
    options: { id?: number; replay?: boolean; request?: v1.IRequestId } = {},
  ): Promise<v1.IFileResponse> {
    assert.ok(this.channel, "not connected");
    return this.channel.call({
      id: options.id ?? this.nextId++,
      context: {
        channelSequence: this.channelSequence,
        replay: options.replay ?? false,
        request: options.request ?? null,
      },
      ...request,
    });
  }

  /** A new request id in a slot. */
  requestId(slot = 0): v1.IRequestId {
    const sequence = (this.sequences.get(slot) ?? 0) + 1;
    this.sequences.set(slot, sequence);
    return { slot, sequence };
  }

  /** Sends a request and expects it to work. */
  async must(
    request: v1.IFileRequest,
    options: { replay?: boolean; request?: v1.IRequestId } = {},
  ): Promise<v1.IFileResponse> {
    const response = await this.ask(request, options);
    assert.equal(
      response.error ?? null,
      null,
      `${ErrorCode[response.error?.code ?? 0]}: ${response.error?.message}`,
    );
    return response;
  }

  /** Sends a request and expects this error. */
  async refused(
    code: ErrorCode,
    request: v1.IFileRequest,
    options: { replay?: boolean; request?: v1.IRequestId } = {},
  ): Promise<v1.IErrorDetail> {
    const response = await this.ask(request, options);
    assert.equal(
      ErrorCode[response.error?.code ?? 0],
      ErrorCode[code],
      response.error?.message ?? "no error",
    );
    return response.error ?? {};
  }

  /** A persistent open; more of the request by `more`. */
  openRequest(path: string, more: Partial<v1.IOpenRequest> = {}): v1.IFileRequest {
    return {
      open: {
        share: "demo",
        path,
        desiredAccess: access.readData | access.writeData | access.delete | access.writeAttributes,
        shareMode: { read: true, write: true, delete: true },
        disposition: v1.Disposition.OPEN_IF,
        createGuid: guidOf(path),
        kind: v1.HandleKind.PERSISTENT,
        ...more,
      },
    };
  }

  async openFile(path: string, more: Partial<v1.IOpenRequest> = {}): Promise<v1.IOpenReply> {
    const response = await this.must(this.openRequest(path, more), { request: this.requestId() });
    assert.ok(response.open);
    return response.open;
  }

  async write(open: v1.IOpenReply, offset: number, text: string): Promise<void> {
    await this.must({ write: { handle: open.handle ?? null, offset, data: new TextEncoder().encode(text) } });
  }

  async read(open: v1.IOpenReply, offset = 0, length = 4096): Promise<string> {
    const response = await this.must({ read: { handle: open.handle ?? null, offset, length } });
    return new TextDecoder().decode(response.read?.data ?? new Uint8Array(0));
  }

  /** Takes a handle up again. */
  async reconnect(open: v1.IOpenReply, path: string, guid = guidOf(path)): Promise<v1.IOpenReply> {
    const response = await this.must({
      reconnect: {
        handleId: open.handle?.persistent ?? null,
        createGuid: guid,
        persistent: true,
        path,
      },
    });
    assert.ok(response.open);
    return response.open;
  }

  /** Makes a new connection, without a word yet. */
  dial(node: TestNode): void {
    this.servedBy = node.name;
    this.channel = node.node.connect({ principal: this.principal, address: "test" }, (response) => {
      if (response.notice) this.notices.push(response.notice);
    });
  }
}

/** A create guid that stands for a text. */
export function guidOf(text: string): Uint8Array {
  const guid = new Uint8Array(16).fill(7);
  for (let i = 0; i < text.length; i++) guid[i % 16] = ((guid[i % 16] ?? 0) * 31 + text.charCodeAt(i)) & 255;
  return guid;
}

/** Lets everything that can run without time passing do so. */
export async function quiet(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
