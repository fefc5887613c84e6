import type { ClientNetwork, ClientStream } from "../../client/transport-api.js";
import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";
import type { Simulation } from "../sim/simulation.js";

/** A call that gets no answer is given up after this; a blocked one is left to wait. */
const PATIENCE_US = 2_500_000;
const DIAL_MS = 400;

/** What a request may carry besides its body. */
export interface Extras {
  readonly replay?: boolean;
  readonly request?: v1.IRequestId;
  readonly channelSequence?: number;
  /** Waits as long as the stream lives. */
  readonly patient?: boolean;
}

/** Where a client dials, and who it is. */
export interface Identity {
  readonly clientGuid: Uint8Array;
  readonly name: string;
  readonly timeoutMs: number;
}

/**
 * A thin client that says over one stream exactly what it is told to, right or wrong. What the library hides from its
 * users (replay flags, buckets, sequences, stale ids) is said here on purpose.
 */
export class ProtocolClient {
  info: v1.ISessionInfo | null = null;
  channelSequence = 0;
  /** When the cluster was last heard to know this session. */
  heardUs = 0;
  onNotice: (notice: v1.INotice) => void = () => undefined;
  private stream: ClientStream<v1.IFileRequest> | null = null;
  private readonly waiting = new Map<number, (response: v1.IFileResponse) => void>();
  private readonly cancels = new Set<number>();
  private nextId = 1;

  constructor(
    private readonly sim: Simulation,
    private readonly network: ClientNetwork,
    private readonly prng: Prng,
    private readonly addresses: readonly string[],
    readonly identity: Identity,
  ) {}

  get connected(): boolean {
    return this.stream !== null && this.info !== null;
  }

  /** Opens a session at some node. */
  open(previousSessionId = 0): Promise<v1.IErrorDetail | null> {
    const { clientGuid, name, timeoutMs } = this.identity;
    const open = { clientGuid, clientName: name, protocolVersion: 1, timeoutMs, previousSessionId };
    return this.attach({ open });
  }

  /** Comes back to a session: its own, or one that it says is its own. */
  resume(session: v1.ISessionInfo, clientGuid = this.identity.clientGuid): Promise<v1.IErrorDetail | null> {
    const context = {
      sessionId: session.sessionId ?? 0,
      clientGuid,
      resumeToken: session.resumeToken ?? null,
      protocolVersion: 1,
      channelSequence: this.channelSequence,
    };
    return this.attach({ resume: { context } });
  }

  /** One attempt at one node; the error that it answered, null when the session is attached. */
  private async attach(attach: v1.IAttachRequest): Promise<v1.IErrorDetail | null> {
    this.leave();
    const address = this.prng.pick(this.addresses);
    try {
      const stream = await this.network.openFileStream(address, DIAL_MS, {
        onMessage: (response) => this.heard(response),
        onClosed: () => {
          if (this.stream === stream) this.hungUp();
        },
      });
      this.stream = stream;
    } catch {
      return { code: ErrorCode.SERVER_UNAVAILABLE };
    }
    const response = await this.ask({ attach });
    if (response.session) {
      this.info = response.session;
      return null;
    }
    this.leave();
    return response.error ?? { code: ErrorCode.SERVER_UNAVAILABLE };
  }

  /** Hangs up without a word. */
  leave(): void {
    const { stream } = this;
    this.stream = null;
    stream?.close();
    this.hungUp();
  }

  private hungUp(): void {
    this.stream = null;
    const answers = [...this.waiting.values()];
    this.waiting.clear();
    for (const answer of answers) answer({ error: { code: ErrorCode.SERVER_UNAVAILABLE } });
  }

  private heard(response: v1.IFileResponse): void {
    // A refusal, a notice and the answer to a cancel may come from a node that knows the session no more.
    const cancelled = this.cancels.delete(response.id ?? 0);
    if (!response.error && !response.notice && !cancelled) this.heardUs = this.sim.nowUs;
    if (response.notice) return this.onNotice(response.notice);
    const answer = this.waiting.get(response.id ?? 0);
    this.waiting.delete(response.id ?? 0);
    answer?.(response);
  }

  /** Id of the call that is sent next, for a cancel. */
  get nextCallId(): number {
    return this.nextId;
  }

  /** Sends a request as it is; without an answer in time, or when the stream ends, SERVER_UNAVAILABLE. */
  ask(body: v1.IFileRequest, extras: Extras = {}): Promise<v1.IFileResponse> {
    const { stream } = this;
    if (stream === null) return Promise.resolve({ error: { code: ErrorCode.SERVER_UNAVAILABLE } });
    const id = this.nextId++;
    if (body.cancel) this.cancels.add(id);
    const context = {
      channelSequence: extras.channelSequence ?? this.channelSequence,
      replay: extras.replay ?? false,
      request: extras.request ?? null,
    };
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      stream.send({ ...body, id, context });
      if (extras.patient) return;
      this.sim.after(PATIENCE_US, () => {
        if (this.waiting.delete(id)) resolve({ error: { code: ErrorCode.SERVER_UNAVAILABLE } });
      });
    });
  }
}
