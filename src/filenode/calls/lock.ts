import type { v1 } from "../../wire/index.js";
import type { NodeCore } from "../core.js";
import { type Call, handleOf, onHandle, type Reply, settle } from "./call.js";

/**
 * Locks and unlocks ranges. Granted by the state, together with the sequence bucket (semantics.md B3); it holds for I/O
 * at this node once what was under way in the range has ended, and only then it is answered.
 */
export function lockCall(core: NodeCore, call: Call, request: v1.ILockRequest): Promise<Reply> {
  const handle = handleOf(call.session, request.handle);
  return onHandle(core, call, handle, { modifying: false, recorded: true }, async () => {
    const result = await settle(core, call, {
      lock: {
        fence: call.session.fence(),
        request: call.request,
        handleId: handle.record.id ?? null,
        sequenceIndex: request.sequenceIndex ?? 0,
        sequenceNumber: request.sequenceNumber ?? 0,
        elements: request.elements ?? [],
        channelSequence: call.channelSequence,
      },
    });
    const held = result.lock?.held ?? [];
    // The event with the whole table of the file follows; until then the handle's own part is brought up to date.
    handle.openFile.setLocksOf(handle.key, held, result.revision ?? 0);
    await handle.openFile.settled();
    return { lock: { held } };
  });
}

/** Acknowledges a lease break. */
export async function ackLeaseCall(core: NodeCore, call: Call, request: v1.IAckLeaseRequest): Promise<Reply> {
  core.admit(call.session);
  await core.execute(
    {
      ackLease: {
        fence: call.session.fence(),
        clientGuid: call.session.record.clientGuid ?? null,
        key: request.key ?? null,
        state: request.state ?? 0,
      },
    },
    call.deadlineMs,
  );
  core.admitReply(call.session);
  return { done: {} };
}
