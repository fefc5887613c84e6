import type { Runtime } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { sameBytes } from "../wire/same-bytes.js";
import { CoordinatorLink } from "./coordinator-link.js";
import { KeyLease } from "./key-lease.js";
import type { ClientSettings } from "./options.js";
import type { ClientNetwork } from "./transport-api.js";

/** Who a file server is to the cluster. */
export interface KeyServer {
  /** Its name; registered with the cluster at the first use. */
  readonly server: string;
  /** Grows with each start of the server: a higher one takes over what a lower one held. */
  readonly incarnation: number;
}

/** Time limit of one call. */
export interface KeyCallOptions {
  readonly deadlineMs?: number;
}

/** The cluster's default lease; a coordinator refuses a longer one than its own. */
const LEASE_MS = 1_000;

/**
 * Resume keys (design section 4): opaque state of a file server that is not ours, kept by the cluster under a key that
 * the server chooses, with an owner and a fencing epoch. All calls share one stream.
 */
export class ResumeKeys {
  readonly #link: CoordinatorLink;
  readonly #server: KeyServer;
  readonly #lease: KeyLease;
  readonly #onEnd: () => void;
  #registered: Promise<void> | null = null;

  constructor(
    network: ClientNetwork,
    runtime: Runtime,
    settings: ClientSettings,
    server: KeyServer,
    onEnd: () => void = () => {},
  ) {
    this.#onEnd = onEnd;
    this.#lease = new KeyLease(network, runtime, {
      ...server,
      leaseMs: LEASE_MS,
      heartbeatMs: LEASE_MS / 5,
      marginMs: LEASE_MS / 10,
      dialTimeoutMs: settings.attemptTimeoutMs,
    });
    this.#link = new CoordinatorLink(network, runtime, settings);
    this.#server = server;
  }

  /** Takes a key: a new one, an orphaned one, or with `expectEpoch` one of a known owner. */
  async claim(
    key: string,
    state: Uint8Array,
    options: KeyCallOptions & { readonly timeoutMs?: number; readonly expectEpoch?: number } = {},
  ): Promise<v1.IResumeKeyRecord> {
    await this.register();
    const claimKey: v1.IClaimKey = {
      key,
      ...this.#node(),
      state,
      timeoutMs: options.timeoutMs ?? 0,
      expectEpoch: options.expectEpoch ?? 0,
    };
    return this.#execute({ claimKey }, options, async (error) => {
      const now = await this.#look(key, options, error);
      const mine =
        now.owner === this.#server.server &&
        now.ownerIncarnation === this.#server.incarnation &&
        sameBytes(now.state, state);
      return mine ? now : null;
    });
  }

  /** Stores state under a key that this server owns; with `expectVersion` only if nothing was stored since. */
  store(
    key: string,
    epoch: number,
    state: Uint8Array,
    options: KeyCallOptions & { readonly expectVersion?: number } = {},
  ): Promise<v1.IResumeKeyRecord> {
    const expectVersion = options.expectVersion ?? 0;
    const storeKey: v1.IStoreKey = { key, ...this.#node(), epoch, state, expectVersion };
    return this.#execute({ storeKey }, options, async (error) => {
      const now = await this.#look(key, options, error);
      const mine = now.epoch === epoch && now.version === expectVersion + 1 && sameBytes(now.state, state);
      return mine ? now : null;
    });
  }

  /** Gives a key up; its state is gone. */
  async release(key: string, epoch: number, options: KeyCallOptions = {}): Promise<void> {
    await this.#execute({ releaseKey: { key, ...this.#node(), epoch } }, options, async (error) =>
      error.code === ErrorCode.UNKNOWN_KEY ? {} : null,
    );
  }

  /** The record of a key as of now; null if there is none. */
  async get(key: string, options: KeyCallOptions = {}): Promise<v1.IResumeKeyRecord | null> {
    const { response } = await this.#link.call({ query: { key } }, options.deadlineMs);
    const detail = response.error ?? response.answer?.error;
    if (detail) {
      const error = HoldfastError.fromDetail(detail);
      if (error.code === ErrorCode.UNKNOWN_KEY) return null;
      throw error;
    }
    return response.answer?.keys?.[0] ?? null;
  }

  /** Tells the cluster of this server; done by the first claim by itself. Idempotent. */
  register(options: KeyCallOptions = {}): Promise<void> {
    const registering = (this.#registered ??= this.#register(options));
    registering.catch(() => (this.#registered = null));
    return registering;
  }

  /** How long this server may still count on its keys; zero or less: it may have been declared down. */
  leaseLeftMs(): number {
    return this.#lease.leftMs();
  }

  close(): void {
    this.#lease.close();
    this.#link.close();
    this.#onEnd();
  }

  async #register(options: KeyCallOptions): Promise<void> {
    const { server, incarnation } = this.#server;
    const node: v1.INodeRecord = { name: server, incarnation, foreign: true };
    const { response } = await this.#link.call({ command: { registerNode: { node } } }, options.deadlineMs);
    const detail = response.error ?? response.result?.error;
    if (detail && detail.code !== ErrorCode.NO_CHANGE) throw HoldfastError.fromDetail(detail);
    const { response: cluster } = await this.#link.call({ query: { cluster: {} } }, options.deadlineMs);
    const coordinators = (cluster.answer?.members ?? []).map((member) => member.grpcAddress ?? "");
    this.#lease.start(coordinators.filter((address) => address !== ""));
  }

  #node(): { node: string; nodeIncarnation: number } {
    return { node: this.#server.server, nodeIncarnation: this.#server.incarnation };
  }

  /**
   * `settle`: asked when the call was refused and an earlier copy of it may have gone through, which would be the reason
   * for the refusal; gives the record if so.
   */
  async #execute(
    command: v1.ICommand,
    options: KeyCallOptions,
    settle: (error: HoldfastError) => Promise<v1.IResumeKeyRecord | null>,
  ): Promise<v1.IResumeKeyRecord> {
    const { response, uncertain } = await this.#link.call({ command }, options.deadlineMs);
    const detail = response.error ?? response.result?.error;
    if (!detail) return response.result?.key ?? {};
    const error = HoldfastError.fromDetail(detail);
    const done = uncertain ? await settle(error) : null;
    if (done === null) throw error;
    return done;
  }

  async #look(key: string, options: KeyCallOptions, error: HoldfastError): Promise<v1.IResumeKeyRecord> {
    const record = await this.get(key, options);
    if (record === null) throw error;
    return record;
  }
}
