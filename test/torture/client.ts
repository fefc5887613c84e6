import assert from "node:assert/strict";
import type { ClientStream } from "../../src/client/index.js";
import { ErrorCode, v1 } from "../../src/client/index.js";
import type { Gate } from "./gate.js";
import type { TortureWorld } from "./world.js";

/** Lease bits by their usual letters. */
export const [R, RH, RW, RWH] = [1, 3, 5, 7];
/** Access: read and write attributes and data, and delete. */
export const READ = 0x81;
export const WRITE = 0x106;
export const ALL = 0x10187;
export const ATTRIBUTES = 0x80;
export const SHARE_ALL: v1.IShareMode = { read: true, write: true, delete: true };

/** What a request may carry besides its body. */
export interface Extras {
  readonly replay?: boolean;
  readonly request?: v1.IRequestId;
  readonly channelSequence?: number;
  readonly id?: number;
}

/** A handle as the client knows it: what it asked with and what it was told last. */
export interface Held {
  asked: v1.IOpenRequest;
  reply: v1.IOpenReply;
  /** Whether a failover leaves it; by default what its kind promises. */
  survives?: boolean;
  /** What is done anew with a handle that a failover in between took and that was opened again. */
  again?: () => Promise<void>;
}

/** 16 bytes that stand for a text. */
export function guid(text: string): Uint8Array {
  const bytes = new Uint8Array(16).fill(5);
  for (let i = 0; i < text.length; i++)
    bytes[i % 16] = ((bytes[i % 16] as number) * 31 + text.charCodeAt(i)) & 255;
  return bytes;
}

/** A protocol client that says exactly what a case tells it to, over one stream at a time. */
export class TortureClient {
  info: v1.ISessionInfo = {};
  channelSequence = 0;
  readonly notices: v1.INotice[] = [];
  /** Handles that a failover in between has to bring back. */
  readonly held: Held[] = [];
  readonly gate: Gate;
  private stream: ClientStream<v1.IFileRequest> | null = null;
  private readonly waiting = new Map<number, (response: v1.IFileResponse) => void>();
  private sequences = new Map<number, number>();
  private nextId = 1;

  constructor(
    readonly world: TortureWorld,
    readonly name: string,
    readonly clientGuid: Uint8Array,
    private readonly principal: string,
    private readonly addresses: readonly string[],
    sibling: TortureClient | null = null,
  ) {
    this.gate = sibling?.gate ?? world.gate(principal);
    if (sibling === null) return;
    this.info = sibling.info;
    this.channelSequence = sibling.channelSequence;
    this.sequences = sibling.sequences;
  }

  get sessionId(): number {
    return this.info.sessionId ?? 0;
  }

  /** Opens a session at the first node that takes it. */
  async open(previousSessionId = 0): Promise<this> {
    const open = {
      clientGuid: this.clientGuid,
      clientName: this.name,
      protocolVersion: 1,
      previousSessionId,
    };
    await this.attach({ open });
    return this;
  }

  /** Comes back with its session, wherever that is by now. */
  async back(): Promise<void> {
    this.gate.reopen();
    this.channelSequence += 1;
    await this.attach({ resume: { context: this.context() } });
  }

  /** Comes back, and takes up every handle it holds; what did not outlive the failover is opened again. */
  async backWithHandles(): Promise<void> {
    await this.back();
    for (const held of this.held) {
      if (this.outlives(held)) await this.resume(held);
      else await this.openAgain(held);
    }
  }

  /** Whether a handle is to outlive the failover: plain ones nothing, durable and resilient ones a connection (semantics.md A2). */
  outlives({ survives, reply }: Held): boolean {
    if (survives !== undefined) return survives;
    const { DURABLE, RESILIENT } = v1.HandleKind;
    if (reply.kind === DURABLE || reply.kind === RESILIENT) return !this.world.serversDie;
    return reply.kind === v1.HandleKind.PERSISTENT;
  }

  /** Comes back and takes a handle up, or finds it gone, as its kind promises. Resolves with the reply if it was there. */
  async backFor(held: Held, outlives = this.outlives(held)): Promise<v1.IOpenReply | null> {
    await this.back();
    if (outlives) return this.resume(held);
    await this.world.until(`${this.name}: the handle is gone`, () => this.isGone(held));
    await this.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, this.reconnectRequest(held));
    return null;
  }

  private isGone({ reply }: Held): boolean {
    const { state } = this.world.state.handle(reply.handle?.persistent ?? new Uint8Array()) ?? {};
    return state === undefined || state === v1.HandleState.HANDLE_CLOSED;
  }

  private async openAgain(held: Held): Promise<void> {
    await this.world.until(`${this.name}: the handle is gone`, () => this.isGone(held));
    await this.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, this.reconnectRequest(held));
    held.asked = { ...held.asked, createGuid: guid(`${this.name} ${this.nextId} again`) };
    held.reply = (await this.must({ open: held.asked })).open ?? {};
    await held.again?.();
  }

  /**
   * One more connection of the same session, bound to it at `address`, by default where the session is. What binding
   * says may be changed; a refusal is thrown as its code's name.
   */
  async bind(more: Partial<v1.ICallContext> = {}, choices: Binding = {}): Promise<TortureClient> {
    const { addresses, principal } = this;
    const sibling = choices.principal === undefined ? this : null;
    const name = `${this.name}+`;
    const channel = new TortureClient(
      this.world,
      name,
      this.clientGuid,
      choices.principal ?? principal,
      addresses,
      sibling,
    );
    const address = choices.address ?? this.info.owner?.grpcAddress ?? "";
    assert(await channel.dial(address), `${name} does not reach ${address}`);
    const response = await channel.ask({ attach: { bind: { context: { ...this.context(), ...more } } } });
    if (response.error) throw new Error(ErrorCode[response.error.code ?? 0]);
    channel.info = response.session ?? {};
    return channel;
  }

  /** This connection breaks; others of the session stay. */
  hangUp(): void {
    this.stream?.close();
    this.stream = null;
    this.hungUp("the client hung up");
  }

  context(): v1.ICallContext {
    return {
      sessionId: this.sessionId,
      clientGuid: this.clientGuid,
      resumeToken: this.info.resumeToken ?? null,
      protocolVersion: 1,
      channelSequence: this.channelSequence,
    };
  }

  private async attach(attach: v1.IAttachRequest): Promise<void> {
    const until = this.world.nowMs + 20_000;
    let last = "nobody answered";
    for (let i = 0; this.world.nowMs < until; i++) {
      const address = this.addresses[i % this.addresses.length] as string;
      if (await this.dial(address)) {
        const response = await this.ask({ attach });
        if (response.session) {
          this.info = response.session;
          return;
        }
        last = `${ErrorCode[response.error?.code ?? 0]}: ${response.error?.message}`;
        this.stream?.close();
        this.stream = null;
      }
      await this.world.pass(20);
    }
    assert.fail(`${this.name} finds no node for its session: ${last}`);
  }

  private async dial(address: string): Promise<boolean> {
    try {
      this.stream = await this.gate.network.openFileStream(address, 500, {
        onMessage: (response) => this.heard(response),
        onClosed: (reason) => this.hungUp(reason),
      });
      return true;
    } catch {
      return false;
    }
  }

  private heard(response: v1.IFileResponse): void {
    const answer = this.waiting.get(response.id ?? 0);
    this.waiting.delete(response.id ?? 0);
    if (response.notice) this.notices.push(response.notice);
    else answer?.(response);
  }

  private hungUp(reason: string): void {
    const { waiting } = this;
    const answers = [...waiting.values()];
    waiting.clear();
    const error = { code: ErrorCode.SERVER_UNAVAILABLE, message: `the stream ended: ${reason}` };
    for (const answer of answers) answer({ error });
  }

  /** Sends a request as it is; a stream that ends answers SERVER_UNAVAILABLE. */
  ask(body: v1.IFileRequest, extras: Extras = {}): Promise<v1.IFileResponse> {
    const id = extras.id ?? this.nextId++;
    const context = {
      channelSequence: extras.channelSequence ?? this.channelSequence,
      replay: extras.replay ?? false,
      request: extras.request ?? null,
    };
    return new Promise((resolve) => {
      assert(this.stream, `${this.name} is not connected`);
      this.waiting.set(id, resolve);
      this.stream.send({ ...body, id, context });
    });
  }

  /** Sends a request that has to work. */
  async must(body: v1.IFileRequest, extras: Extras = {}): Promise<v1.IFileResponse> {
    const response = await this.ask(body, extras);
    const { error } = response;
    assert.equal(error ?? null, null, `${this.name}: ${ErrorCode[error?.code ?? 0]}: ${error?.message}`);
    return response;
  }

  /** Sends a request that has to be refused with this code. */
  async refused(code: ErrorCode, body: v1.IFileRequest, extras: Extras = {}): Promise<v1.IErrorDetail> {
    const { error } = await this.ask(body, extras);
    assert.equal(ErrorCode[error?.code ?? 0], ErrorCode[code], error?.message ?? `${this.name}: no error`);
    return error ?? {};
  }

  /** The next request id in a slot. */
  requestId(slot = 0): v1.IRequestId {
    const sequence = (this.sequences.get(slot) ?? 0) + 1;
    this.sequences.set(slot, sequence);
    return { slot, sequence };
  }

  /** A persistent open of a file of the share "ca", everything shared. */
  openRequest(path: string, more: Partial<v1.IOpenRequest> = {}): v1.IOpenRequest {
    return {
      share: "ca",
      path,
      desiredAccess: ALL,
      shareMode: SHARE_ALL,
      disposition: v1.Disposition.OPEN_IF,
      createGuid: guid(`${this.name} ${path}`),
      kind: v1.HandleKind.PERSISTENT,
      ...more,
    };
  }

  /** Opens; the handle is taken up again by failovers in between. */
  async hold(path: string, more: Partial<v1.IOpenRequest> = {}, extras: Extras = {}): Promise<Held> {
    const asked = this.openRequest(path, more);
    const reply = (await this.must({ open: asked }, extras)).open;
    assert(reply);
    const held: Held = { asked, reply };
    this.held.push(held);
    return held;
  }

  /** What a reconnect of the handle says. */
  reconnectRequest(held: Held, more: Partial<v1.IReconnectRequest> = {}): v1.IFileRequest {
    const { asked, reply } = held;
    return {
      reconnect: {
        handleId: reply.handle?.persistent ?? null,
        createGuid: asked.createGuid ?? null,
        persistent: reply.kind === v1.HandleKind.PERSISTENT,
        path: asked.path ?? "",
        ...(asked.lease ? { lease: asked.lease } : {}),
        ...more,
      },
    };
  }

  /** Takes a handle up again. */
  async resume(held: Held): Promise<v1.IOpenReply> {
    const reply = (await this.must(this.reconnectRequest(held))).open;
    assert(reply);
    // Semantics.md A6, step 5.
    assert.equal(reply.createAction, v1.CreateAction.OPENED, "a resume is told of no create");
    held.reply = reply;
    return reply;
  }

  lockRequest(held: Held, offset: number, length: number, more: Lock = {}): v1.IFileRequest {
    const { unlock = false, wait = false, bucket = [0, 0], exclusive = !unlock } = more;
    const element = { offset, length, exclusive, unlock, failImmediately: !wait };
    return {
      lock: {
        handle: held.reply.handle ?? null,
        sequenceIndex: bucket[0],
        sequenceNumber: bucket[1],
        elements: [element],
      },
    };
  }

  writeRequest(held: Held, text: string, offset = 0): v1.IFileRequest {
    return { write: { handle: held.reply.handle ?? null, offset, data: new TextEncoder().encode(text) } };
  }

  async write(held: Held, text: string, offset = 0): Promise<void> {
    await this.must(this.writeRequest(held, text, offset));
  }

  async read(held: Held): Promise<string> {
    const read = { handle: held.reply.handle ?? null, offset: 0, length: 4096 };
    return new TextDecoder().decode((await this.must({ read })).read?.data ?? new Uint8Array());
  }

  async close(held: Held, extras: Extras = {}): Promise<void> {
    await this.must({ close: { handle: held.reply.handle ?? null } }, extras);
    const at = this.held.indexOf(held);
    if (at >= 0) this.held.splice(at, 1);
  }

  /** Lease breaks that it was told of. */
  get breaks(): v1.ILeaseBreak[] {
    return this.notices.flatMap(({ leaseBreak }) => (leaseBreak ? [leaseBreak] : []));
  }
}

/** Where and as whom a channel is bound. */
export interface Binding {
  readonly address?: string;
  readonly principal?: string;
}

/** How a range is locked. */
export interface Lock {
  readonly unlock?: boolean;
  readonly wait?: boolean;
  readonly bucket?: readonly [number, number];
  readonly exclusive?: boolean;
}
