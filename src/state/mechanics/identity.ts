import { copyOf } from "../../wire/copy.js";
import { v1 } from "../../wire/index.js";
import { type Id, idOf } from "../ids.js";
import { hash32 } from "../hash.js";

/**
 * What makes two calls under one request id the same call: the client's own arguments. Left out is what a repeat through
 * another node or after a failover may carry differently: the fence, what the node observed, ids that it proposes, the
 * replay flag and the channel sequence. Each member computes it for each command.
 */
export function openIdentity(command: v1.IOpenHandle): Uint8Array {
  const copy = copyOf(command);
  copy.fence = null;
  copy.observed = null;
  copy.handleId = NONE;
  copy.replay = false;
  copy.channelSequence = 0;
  copy.maximalAccess = 0;
  copy.lease = command.lease
    ? { key: command.lease.key ?? NONE, parentKey: command.lease.parentKey ?? NONE }
    : null;
  return v1.OpenHandle.encode(copy).finish();
}

/** As above, of a reconnect: any answer about the lease is the same call. */
export function reconnectIdentity(command: v1.IReconnectHandle): Uint8Array {
  return v1.ReconnectHandle.encode({ ...command, fence: null, channelSequence: 0, lease: null }).finish();
}

/** As above, of a close: the handle and the request id alone. */
export function closeIdentity(command: v1.ICloseHandle): Uint8Array {
  return v1.CloseHandle.encode({
    handleId: command.handleId ?? NONE,
    request: command.request ?? null,
  }).finish();
}

/** As above, of a delete mark: without what the node saw. */
export function dispositionIdentity(command: v1.ISetDisposition): Uint8Array {
  return v1.SetDisposition.encode({
    ...command,
    fence: null,
    observed: null,
    directoryEmpty: false,
  }).finish();
}

/** As above, of locks and unlocks: whether it would have waited makes no other call of it. */
export function lockIdentity(command: v1.ILock): Uint8Array {
  const copy = copyOf(command);
  copy.elements = (command.elements ?? []).map(asIfItWaited);
  copy.fence = null;
  copy.channelSequence = 0;
  return v1.Lock.encode(copy).finish();
}

function asIfItWaited(element: v1.ILockElement): v1.ILockElement {
  const copy = copyOf(element);
  copy.failImmediately = false;
  return copy;
}

/** As above, of a protocol's blob. */
export function blobIdentity(command: v1.ISetBlob): Uint8Array {
  return v1.SetBlob.encode({ ...command, fence: null }).finish();
}

/** As above, of a cancel. */
export function cancelIdentity(command: v1.ICancelPending): Uint8Array {
  return v1.CancelPending.encode({ ...command, fence: null }).finish();
}

/** As above, of an effect: what it is to do, not what was seen before it. */
export function effectIdentity(command: v1.IBeginEffect): Uint8Array {
  const effect = command.effect ?? {};
  // Of a handle it is its lease's; absent it takes no byte, as before there was one.
  const named = !effect.handleId?.length && effect.parentKey?.length;
  return v1.EffectRecord.encode({
    ...(named ? { parentKey: effect.parentKey } : {}),
    kind: effect.kind ?? 0,
    handleId: effect.handleId ?? NONE,
    share: effect.share ?? "",
    path: effect.handleId?.length ? "" : (effect.path ?? ""),
    targetPath: effect.targetPath ?? "",
    length: effect.length ?? 0,
    dataDigest: effect.dataDigest ?? NONE,
    replace: effect.replace ?? false,
    description: effect.description ?? NONE,
    key: effect.key ?? "",
    attributes: effect.attributes ?? 0,
    request: command.request ?? null,
  }).finish();
}

/** Eight bytes that stand for the arguments. */
export function digestOf(identity: Uint8Array): Id {
  const digest = new Uint8Array(8);
  const view = new DataView(digest.buffer);
  view.setInt32(0, hash32(identity, 0x9e3779b1));
  view.setInt32(4, hash32(identity, 0x7f4a7c15));
  return idOf(digest);
}

const NONE = new Uint8Array(0);
