import type { Index, RaftId } from "../raft/index.js";
import type { v1 } from "../wire/index.js";
import type { LeaderInfo } from "./api.js";
import { Listeners } from "./listeners.js";

/** What a replica tells the code above it, and who listens. */
export class ReplicaEvents {
  protected readonly eventListeners = new Listeners<[events: readonly v1.IEvent[], revision: Index]>();
  protected readonly resyncListeners = new Listeners<[revision: Index]>();
  protected readonly roleListeners = new Listeners<[info: LeaderInfo]>();
  protected readonly frameListeners = new Listeners<[from: RaftId, frame: v1.IPeerFrame]>();
  protected readonly disconnectListeners = new Listeners<[peer: RaftId]>();

  onEvents(listener: (events: readonly v1.IEvent[], revision: Index) => void): () => void {
    return this.eventListeners.add(listener);
  }

  onResync(listener: (revision: Index) => void): () => void {
    return this.resyncListeners.add(listener);
  }

  onRoleChange(listener: (status: LeaderInfo) => void): () => void {
    return this.roleListeners.add(listener);
  }

  onPeerFrame(listener: (from: RaftId, frame: v1.IPeerFrame) => void): () => void {
    return this.frameListeners.add(listener);
  }

  onPeerDisconnected(listener: (peer: RaftId) => void): () => void {
    return this.disconnectListeners.add(listener);
  }
}
