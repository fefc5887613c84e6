/** The replicated state: what a committed command does to sessions, handles, locks, leases, keys and nodes. */
export type * from "./api.js";
export { EventKind } from "./events.js";
export { createStateMachine } from "./machine.js";
export { FORMAT_VERSION } from "./store.js";
export {
  type Admission,
  admitRequest,
  type ChannelCounters,
  type CountedAs,
  requestDone,
  type SequenceAge,
  sequenceAge,
} from "./rules/channel-sequence.js";
export { lockForbids, type Range, type RangeUse } from "./rules/lock-conflict.js";
export { Access, specificAccess } from "./rules/access.js";
export { isRetryable } from "./mechanics/reply-cache.js";
