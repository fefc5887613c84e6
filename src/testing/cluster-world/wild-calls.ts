import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { Violation } from "../sim/simulation.js";
import type { Extras } from "./protocol-client.js";
import type { WildClient } from "./wild-client.js";
import type { WildHandle } from "./wild-requests.js";

interface Sent {
  readonly body: v1.IFileRequest;
  readonly request: v1.IRequestId;
}

const SLOTS = 4;
const { PERSISTENT } = v1.HandleKind;

/** What a wild client does, one call after the other. */
export class WildCalls {
  readonly meanPauseUs: number;
  private readonly sequences = Array.from({ length: SLOTS }, () => 0);
  private readonly sent: Sent[] = [];
  /** Creates of the past, open or closed, for replays. */
  private readonly creates: v1.IOpenRequest[] = [];

  constructor(private readonly wild: WildClient) {
    this.meanPauseUs = wild.prng.pick([10_000, 30_000, 100_000]);
  }

  /** One call of some kind; its answer may take until the call is given up. */
  async one(): Promise<void> {
    const { prng, handles } = this.wild;
    const dice = prng.below(100);
    const handle = handles.length > 0 ? prng.pick(handles) : null;
    if (handle === null || dice < 18) return this.open();
    if (dice < 40) return this.lock(handle);
    if (dice < 52) return this.io(handle);
    if (dice < 60) return this.replay();
    if (dice < 68) return this.repeat();
    if (dice < 76) return this.close(handle);
    if (dice < 80) return this.mark(handle);
    if (dice < 84) return this.names(handle);
    if (dice < 87) return this.stale(handle);
    if (dice < 90) return this.steal(handle);
    if (dice < 98) return this.leave();
    await this.wild.client.ask({ ping: {} });
  }

  private request(): v1.IRequestId {
    const slot = this.wild.prng.below(SLOTS);
    const sequence = (this.sequences[slot] ?? 0) + 1;
    this.sequences[slot] = sequence;
    return { slot, sequence };
  }

  /** A mutating call under a new id, or without one. */
  private async call(body: v1.IFileRequest, extras: Extras = {}): Promise<v1.IFileResponse> {
    const { client, prng, world } = this.wild;
    if (!prng.chance(0.8)) return client.ask(body, extras);
    const request = this.request();
    this.sent.push({ body, request });
    if (this.sent.length > 8) this.sent.shift();
    const answer = client.ask(body, { ...extras, request });
    // An answer that is lost with its connection: the client has to ask again.
    if (prng.chance(0.04)) world.sim.after(prng.exponential(3_000), () => client.leave());
    const response = await answer;
    if (response.error?.code === ErrorCode.INTERNAL)
      throw new Violation("internal error", response.error.message ?? "without a message");
    const unanswered = response.error?.code === ErrorCode.SERVER_UNAVAILABLE;
    return unanswered ? this.again(body, request) : response;
  }

  private async again(body: v1.IFileRequest, request: v1.IRequestId): Promise<v1.IFileResponse> {
    const { client } = this.wild;
    if (client.info === null || !client.connected) {
      if (client.info === null || (await this.wild.resume(client.info)) !== null)
        return { error: { code: ErrorCode.SERVER_UNAVAILABLE } };
    }
    this.wild.situation("call repeated on another connection");
    return client.ask(body, { request, replay: true });
  }

  private async open(): Promise<void> {
    const { wild } = this;
    const asked = wild.requests.open(wild.guid());
    this.creates.push(asked);
    if (this.creates.length > 10) this.creates.shift();
    // Whatever becomes of the open itself.
    if (asked.closeMyOrphans) for (const other of this.wild.handles) other.maybeClosed = true;
    const response = await this.call({ open: asked });
    await this.opened(asked, response);
  }

  private async opened(asked: v1.IOpenRequest, { open, error }: v1.IFileResponse): Promise<void> {
    if (error) this.wild.situation(`open refused: ${ErrorCode[error.code ?? 0]}`);
    if (!open?.handle) return;
    this.wild.situation(open.replayed ? "create replayed" : "handle opened");
    const known = this.wild.handles.find((other) => same(other.id, open.handle));
    if (known !== undefined) {
      this.inHand(known, open.handle);
      return;
    }
    await this.wild.keep({
      asked,
      id: open.handle,
      oldVolatile: 0,
      maybeClosed: !!asked.appInstance,
      timeoutMs: open.kind === PERSISTENT ? (open.timeoutMs ?? 0) : 0,
      leased: (open.lease?.key?.length ?? 0) > 0,
      inHand: true,
      heldUs: this.wild.world.sim.nowUs,
      locks: [],
    });
  }

  private inHand(handle: WildHandle, id: v1.IHandleId): void {
    handle.oldVolatile = handle.id.volatile === id.volatile ? 0 : (handle.id.volatile ?? 0);
    handle.id = id;
    handle.inHand = true;
  }

  /** The same create again, as a replay or not, changed or not. */
  private async replay(): Promise<void> {
    const { client, prng } = this.wild;
    if (this.creates.length === 0) return;
    const create = prng.pick(this.creates);
    if (create.closeMyOrphans) for (const other of this.wild.handles) other.maybeClosed = true;
    const asked = prng.chance(0.7) ? create : { ...create, disposition: prng.between(1, 6) };
    const replay = prng.chance(0.75);
    const response = await client.ask({ open: asked }, { replay, request: this.request() });
    await this.opened(asked, response);
  }

  /** An earlier call under its id, as it was or with another payload. */
  private async repeat(): Promise<void> {
    const { client, prng } = this.wild;
    if (this.sent.length === 0) return;
    const { body, request } = prng.pick(this.sent);
    const { open, lock } = body;
    let other = body;
    if (prng.chance(0.3) && open) other = { open: { ...open, path: `${open.path}x` } };
    else if (prng.chance(0.3) && lock)
      other = {
        lock: { ...lock, elements: [{ offset: 77, length: 1, exclusive: true, failImmediately: true }] },
      };
    await client.ask(other, { request, replay: prng.chance(0.5) });
  }

  private async lock(handle: WildHandle): Promise<void> {
    const { client, prng } = this.wild;
    const lock = this.wild.requests.lock(handle);
    const waits = lock.elements?.some(({ failImmediately }) => !failImmediately) ?? false;
    if (waits) {
      const callId = client.nextCallId;
      void client
        .ask({ lock }, { patient: true, request: this.request() })
        .then((answer) => this.locked(handle, lock, answer));
      if (prng.chance(0.5))
        this.wild.world.sim.after(prng.exponential(300_000), () => void client.ask({ cancel: { callId } }));
      return;
    }
    this.locked(handle, lock, await this.call({ lock }));
    if ((lock.sequenceIndex ?? 0) > 0 && prng.chance(0.3))
      // The same request by its bucket, as after a lost answer: under another id.
      await client.ask({ lock: { ...lock, handle: handle.id } }, { request: this.request() });
  }

  private locked(handle: WildHandle, lock: v1.ILockRequest, { error }: v1.IFileResponse): void {
    if (error) {
      this.wild.situation(`lock refused: ${ErrorCode[error.code ?? 0]}`);
      return;
    }
    for (const element of lock.elements ?? []) {
      this.wild.situation(element.unlock ? "range unlocked" : "range locked");
      if (!element.unlock) handle.locks.push(element);
      else {
        const at = handle.locks.findIndex(
          (one) => one.offset === element.offset && one.length === element.length,
        );
        if (at >= 0) handle.locks.splice(at, 1);
      }
    }
  }

  private async io(handle: WildHandle): Promise<void> {
    const { client, prng, requests } = this.wild;
    const { offset, length } = requests.range();
    if (prng.chance(0.4)) await client.ask({ read: { handle: handle.id, offset, length } });
    else if (prng.chance(0.3))
      await this.call({ write: { handle: handle.id, data: new Uint8Array(3).fill(65), append: true } });
    else await client.ask({ write: { handle: handle.id, offset, data: new Uint8Array(length).fill(66) } });
  }

  async close(handle: WildHandle): Promise<void> {
    handle.maybeClosed = true;
    const { error } = await this.call({ close: { handle: handle.id } });
    if (error && error.code !== ErrorCode.FILE_CLOSED) return;
    this.wild.drop(handle);
    this.wild.situation("handle closed");
  }

  private async mark(handle: WildHandle): Promise<void> {
    await this.call({ setInfo: { handle: handle.id, deleteOnClose: this.wild.prng.chance(0.6) } });
  }

  private async names(handle: WildHandle): Promise<void> {
    const { prng } = this.wild;
    const share = handle.asked.share ?? "";
    const dice = prng.below(6);
    if (dice === 0) await this.call({ makeDirectory: { share, path: "dir" } });
    else if (dice === 1)
      await this.call({
        link: { handle: handle.id, targetPath: prng.pick(["w0", "w2"]), replace: prng.chance(0.5) },
      });
    else if (dice === 2) await this.call({ remove: { share, path: prng.pick(["w0", "w1"]) } });
    else if (dice === 3) await this.renameDirectory(share);
    else
      await this.call({
        rename: { handle: handle.id, targetPath: prng.pick(["w0", "w1", "w2"]), replace: prng.chance(0.5) },
      });
  }

  private async renameDirectory(share: string): Promise<void> {
    const [from, to] = this.wild.prng.shuffle(["dir", "other"]);
    await this.call({ rename: { share, path: from as string, targetPath: to as string } });
  }

  /** What was overtaken must not be done: an older channel sequence, the name of an earlier connection. */
  private async stale(handle: WildHandle): Promise<void> {
    const { client, prng } = this.wild;
    const data = new Uint8Array(2).fill(67);
    if (prng.chance(0.5) && handle.oldVolatile !== 0) {
      const old = { persistent: handle.id.persistent ?? null, volatile: handle.oldVolatile };
      const { error } = await client.ask({ write: { handle: old, offset: 0, data } });
      if (!error)
        throw new Violation(
          "stale handle id",
          `wild ${this.wild.id} wrote under a name of an earlier connection`,
        );
      this.wild.situation("old volatile id refused");
      return;
    }
    const write = { write: { handle: handle.id, offset: 0, data } };
    client.channelSequence = (client.channelSequence + 1) & 0xffff;
    if ((await client.ask(write)).error) return;
    const { error } = await client.ask(write, { channelSequence: (client.channelSequence - 1) & 0xffff });
    if (!error)
      throw new Violation("channel sequence", `wild ${this.wild.id}: an overtaken write was executed`);
    this.wild.situation(`overtaken write: ${ErrorCode[error.code ?? 0]}`);
  }

  /** Others try to get at the handle: another principal with every secret, and the same client's second session. */
  private async steal(handle: WildHandle): Promise<void> {
    const { wild } = this;
    const { client, prng, world } = wild;
    const session = client.info;
    if (session === null) return;
    const principal = prng.chance(0.5) ? "mallory" : wild.principal;
    const thief = world.population.protocolClient(wild.id, principal, client.identity);
    const reconnect = reconnectOf(handle);
    if (principal !== wild.principal && prng.chance(0.5)) {
      if ((await thief.resume(session)) === null)
        throw new Violation(
          "wrong principal",
          `${principal} was given session ${session.sessionId} of ${wild.principal}`,
        );
      wild.situation("another principal refused the session");
    } else if ((await thief.open()) === null) {
      const dice = prng.chance(0.5);
      const { open } = dice
        ? await thief.ask({ reconnect })
        : await thief.ask({ open: handle.asked }, { replay: true });
      if (open?.handle && same(open.handle, handle.id)) {
        if (principal !== wild.principal)
          throw new Violation("wrong principal", `${principal} was given a handle of ${wild.principal}`);
      }
      // The same client's second session may take up what the first one has let go.
      if (principal === wild.principal) wild.drop(handle);
      wild.situation("second session tried to resume a handle");
    }
    thief.leave();
  }

  /** Resumes a handle. Within its time it has to be there, unless somebody may have closed it. */
  async reconnect(handle: WildHandle): Promise<void> {
    const { client, world } = this.wild;
    const { open, error } = await client.ask({ reconnect: reconnectOf(handle) });
    if (open?.handle) {
      this.inHand(handle, open.handle);
      this.wild.situation("handle resumed");
      return;
    }
    if (error?.code !== ErrorCode.OBJECT_NAME_NOT_FOUND) return;
    this.wild.drop(handle);
    if (!handle.maybeClosed && handle.timeoutMs > 0)
      this.wild.promise(`handle (${error.message})`, world.sim.nowUs - handle.heldUs, handle.timeoutMs);
  }

  /** Goes away: for a moment, for about as long as it was promised, or for longer. */
  private async leave(): Promise<void> {
    const { client, prng, world, handles } = this.wild;
    client.leave();
    const promisedMs = prng.pick([client.info?.timeoutMs ?? 0, ...handles.map(({ timeoutMs }) => timeoutMs)]);
    const nearUs = Math.min(promisedMs, 4_000) * 1000 * (0.9 + prng.fraction() * 0.2);
    const dice = prng.below(10);
    if (dice < 5) await world.pause(prng.exponential(100_000));
    else if (dice < 9) await world.pause(nearUs);
    else await world.pause(prng.exponential(4_000_000));
  }
}

function reconnectOf(handle: WildHandle): v1.IReconnectRequest {
  const { asked, id, leased } = handle;
  return {
    handleId: id.persistent ?? null,
    createGuid: asked.createGuid ?? null,
    persistent: asked.kind === PERSISTENT,
    ...(leased && asked.lease ? { lease: asked.lease } : {}),
  };
}

function same(a: v1.IHandleId, b: v1.IHandleId | null | undefined): boolean {
  return Buffer.compare(Buffer.from(a.persistent ?? []), Buffer.from(b?.persistent ?? [])) === 0;
}
