import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import type { NodeCore } from "../core.js";
import { dropSession } from "../load-session.js";
import { refuseWhileFrozen } from "../release.js";
import { apart, type Call, refuseWhileEnding, type Reply } from "./call.js";
import { listCall, setInfoCall, statCall } from "./info.js";
import { flushCall, readCall, writeCall } from "./io.js";
import { ackLeaseCall, lockCall } from "./lock.js";
import { linkCall, makeDirectoryCall, removeCall, renameCall } from "./names.js";
import { closeCall, openCall, reconnectCall } from "./open.js";
import { resolveCall } from "./resolve.js";

/** Hands a request to what serves it. The most frequent kinds come first. */
export async function dispatch(core: NodeCore, call: Call, request: v1.IFileRequest): Promise<Reply> {
  refuseWhileFrozen(core, call.session);
  if (!request.closeSession) refuseWhileEnding(call.session);
  call.session.running.begin();
  call.counted.push(call.session.running);
  try {
    return await run(core, call, request);
  } finally {
    call.session.running.end();
  }
}

function run(core: NodeCore, call: Call, request: v1.IFileRequest): Promise<Reply> {
  if (request.write) return writeCall(core, call, request.write);
  if (request.read) return readCall(core, call, request.read);
  if (request.open) return openCall(core, call, request.open);
  if (request.close) return closeCall(core, call, request.close);
  if (request.lock) return lockCall(core, call, request.lock);
  if (request.stat) return statCall(core, call, request.stat);
  if (request.reconnect) return reconnectCall(core, call, request.reconnect);
  if (request.list) return listCall(core, call, request.list);
  if (request.setInfo) return setInfoCall(core, call, request.setInfo);
  if (request.rename) return renameCall(core, call, request.rename);
  if (request.remove) return removeCall(core, call, request.remove);
  if (request.makeDirectory) return makeDirectoryCall(core, call, request.makeDirectory);
  if (request.link) return linkCall(core, call, request.link);
  if (request.flush) return flushCall(core, call, request.flush);
  if (request.ackLease) return ackLeaseCall(core, call, request.ackLease);
  if (request.resolve) return resolveCall(core, call, request.resolve);
  if (request.closeSession) return closeSessionCall(core, call);
  throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, "the request has no body that this node knows");
}

// Its handles close with it; deletes that this sets off come as events.
async function closeSessionCall(core: NodeCore, call: Call): Promise<Reply> {
  const { session } = call;
  core.admit(session);
  session.ending += 1;
  try {
    // What runs would land when others have the files already.
    await apart(call, () => session.running.drained());
    await core.execute({ closeSession: { fence: session.fence(), request: call.request } }, call.deadlineMs);
  } finally {
    session.ending -= 1;
  }
  dropSession(core, session);
  return { done: {} };
}
