import { v1 } from "../../wire/index.js";
import type { Prng } from "../sim/prng.js";

/** What a wild client knows of one of its handles. */
export interface WildHandle {
  readonly asked: v1.IOpenRequest;
  id: v1.IHandleId;
  /** What it was called before it was resumed last. */
  oldVolatile: number;
  /** Its end may have been asked for, by this client or by an application that takes over. */
  maybeClosed: boolean;
  /** What it was promised to survive its client; zero: nothing. */
  readonly timeoutMs: number;
  /** The key of the lease that it got. */
  readonly leased: boolean;
  /** Opened or resumed on the present connection. */
  inHand: boolean;
  /** When it was known to be in hand last. */
  heldUs: number;
  /** Ranges that it believes to hold. */
  readonly locks: v1.ILockElement[];
}

const READ = 0x81;
const WRITE = 0x106;
const ATTRIBUTES = 0x80;
const DELETE = 0x10000;
const FILES = ["w0", "w1", "w2", "dir/w3"];

/** Draws requests: few names, so that clients meet, and values at the edges of what is allowed. */
export interface WildRequests {
  open(guid: Uint8Array): v1.IOpenRequest;
  range(): { offset: number; length: number };
  lock(handle: WildHandle): v1.ILockRequest;
}

/** The requests of one client. Its few lease keys are its own, application instances are everybody's. */
export function wildRequests(prng: Prng): WildRequests {
  const share = (): string => prng.pick(["demo", "ca", "ca"]);
  const leaseKeys = Array.from({ length: 3 }, () => prng.bytes(16));
  const instance = (name: number): Uint8Array => new Uint8Array(16).fill(0xa0 + name);
  const range = (): { offset: number; length: number } => ({ offset: prng.below(12), length: prng.below(6) });

  const open = (guid: Uint8Array): v1.IOpenRequest => {
    const path = prng.pick(FILES);
    const bits = prng.pick([7, 7, 7, 7, 3, 3, 1, 0, 6]);
    const request: v1.IOpenRequest = {
      share: share(),
      path,
      desiredAccess: prng.pick([
        READ,
        READ | WRITE,
        READ | WRITE,
        READ | WRITE | DELETE,
        WRITE,
        ATTRIBUTES,
        DELETE,
      ]),
      shareMode: { read: (bits & 1) !== 0, write: (bits & 2) !== 0, delete: (bits & 4) !== 0 },
      disposition: prng.pick([4, 4, 4, 4, 2, 3, 5, 6, 1]),
      createGuid: guid,
      kind: prng.pick([
        v1.HandleKind.PERSISTENT,
        v1.HandleKind.PERSISTENT,
        v1.HandleKind.PERSISTENT,
        1,
        2,
        3,
      ]),
      timeoutMs: prng.pick([500, 1_000, 2_500, 0]),
      deleteOnClose: false,
    };
    if (((request.desiredAccess ?? 0) & DELETE) !== 0) request.deleteOnClose = prng.chance(0.5);
    if (prng.chance(0.4))
      request.lease = {
        key: leaseKeys[FILES.indexOf(path) % 3] ?? null,
        state: prng.pick([1, 3, 5, 7, 7]),
        version: 2,
      };
    if (prng.chance(0.15))
      request.appInstance = {
        id: instance(prng.below(2)),
        hasVersion: true,
        versionHigh: prng.below(2),
        versionLow: prng.below(3),
      };
    if (prng.chance(0.1)) request.closeMyOrphans = true;
    return request;
  };

  const lock = (handle: WildHandle): v1.ILockRequest => {
    const bucket = prng.chance(0.6) ? prng.between(1, 3) : 0;
    const held = handle.locks.length > 0 && prng.chance(0.45) ? prng.pick(handle.locks) : null;
    const elements: v1.ILockElement[] = [];
    if (held !== null) elements.push({ ...held, unlock: true, failImmediately: true });
    else
      for (let n = prng.pick([1, 1, 1, 2, 3]); n > 0; n--)
        elements.push({ ...range(), exclusive: prng.chance(0.6), failImmediately: true });
    const [only] = elements;
    if (elements.length === 1 && only && !only.unlock && prng.chance(0.2)) only.failImmediately = false;
    return { handle: handle.id, sequenceIndex: bucket, sequenceNumber: prng.below(16), elements };
  };
  return { open, range, lock };
}
