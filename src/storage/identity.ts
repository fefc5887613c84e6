import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { storageMutants } from "./mutants.js";

/** The newest layout of the data folder that this program writes and reads. */
export const FORMAT_VERSION = 1;

/** Who this data folder belongs to. Written once, before anything else. */
export interface NodeIdentity {
  readonly formatVersion: number;
  readonly clusterId: string;
  readonly name: string;
  /** Zero for a node that is no coordinator. */
  readonly raftId: number;
  /** Rises when a member is added again after its disk was lost. */
  readonly incarnation: number;
  /** Random, made with the folder: tells a wiped disk from the one that it replaced (hex, 32 characters). */
  readonly diskId: string;
}

/** What the configuration says this node is. */
export type ExpectedIdentity = Pick<NodeIdentity, "clusterId" | "name" | "raftId">;

/** Refuses a folder of another cluster, another node or a newer program; says which and what to do. */
export function checkIdentity(found: NodeIdentity, expected: ExpectedIdentity): void {
  if (found.formatVersion > FORMAT_VERSION)
    throw new HoldfastError(
      ErrorCode.UNSUPPORTED_VERSION,
      `the data folder has format ${found.formatVersion}, this program knows formats up to ${FORMAT_VERSION}`,
      { next: "start it with the version that wrote it, or a newer one" },
    );
  if (found.clusterId !== expected.clusterId)
    throw new HoldfastError(
      ErrorCode.WRONG_CLUSTER,
      `the data folder belongs to cluster ${found.clusterId}, the configuration says ${expected.clusterId}`,
      { next: "correct cluster.id in the configuration, or set data there to this cluster's folder" },
    );
  if (found.name !== expected.name || found.raftId !== expected.raftId)
    throw new HoldfastError(
      ErrorCode.PRECONDITION_FAILED,
      `the data folder belongs to node ${found.name} (member ${found.raftId}), the configuration says ${expected.name} (member ${expected.raftId})`,
      {
        next: "correct the node's name and id in the configuration, or set data there to this node's own folder",
      },
    );
}

/** What this node remembers of a peer's disk: the newest incarnation that it has talked to. */
export interface PeerDisk {
  readonly raftId: number;
  readonly incarnation: number;
  readonly diskId: string;
}

/**
 * Refuses a peer whose disk is not the one that it had: an older incarnation, or the same incarnation on another disk,
 * that is, a wiped one. Such a member has forgotten its votes and could vote twice. Null means welcome.
 */
export function refusePeerDisk(known: PeerDisk | undefined, said: PeerDisk): string | null {
  if (known === undefined || said.incarnation > known.incarnation) return null;
  if (said.incarnation < known.incarnation)
    return `member ${said.raftId} comes with incarnation ${said.incarnation}, but incarnation ${known.incarnation} has taken its place`;
  if (said.diskId === known.diskId || storageMutants.wipedDiskAdmitted) return null;
  return `member ${said.raftId} comes with another disk under incarnation ${said.incarnation}: its data folder was wiped or replaced`;
}
