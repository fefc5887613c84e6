import type { Index, RaftMember } from "../raft/index.js";
import type { Runtime } from "../runtime/api.js";
import type { StateMachine } from "../state/index.js";
import type { PeerEvents, Transport } from "../transport/api.js";
import type { ReplicaConfig } from "./config.js";
import type { AppliedPosition, TermStarts } from "./state-writer.js";
import type { ReplicaStorage } from "./storage.js";

/** Exit code of a node whose own disk failed: it must not be restarted into the same disk without a look. */
export const EXIT_STORAGE_FAILED = 74;
/** Exit code of a node on whose disk something is not what was written: it must not go on with that. */
export const EXIT_DATA_DAMAGED = 66;
/** What a replica is made of. Everything that touches the world comes in here. */
export interface ReplicaDeps {
  readonly runtime: Runtime;
  readonly config: ReplicaConfig;
  readonly storage: ReplicaStorage;
  /** Called once; the events may come from then on. */
  readonly createTransport: (events: PeerEvents) => Transport;
  readonly createStateMachine: () => StateMachine;
  /** The state was loaded, and the member takes part from the next step on: the moment to hold the loop for once. */
  readonly onLoaded?: () => void;
  /** True while the disk is nearly full: only what frees space is then accepted. Cached, cheap, clears by itself. */
  readonly diskLow: () => boolean;
  /**
   * The member cannot go on: its disk failed, holds damaged data, or the log or state is of a newer version. The node must
   * exit with this code; `next`: what to do then, where the code alone does not say it.
   */
  readonly onFatal: (reason: string, exitCode: number, next?: string) => void;
}

/** What `createReplica` has restored from the disk. */
export interface Restored {
  readonly raft: RaftMember;
  readonly machine: StateMachine;
  readonly position: AppliedPosition;
  readonly cutIndex: Index;
  readonly terms: TermStarts;
}
