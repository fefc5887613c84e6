import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { PeerIdentity } from "./api.js";
import { PROTOCOL_VERSION } from "./options.js";
import { isMemberId } from "./raft-codec.js";

/** This node, as it introduces itself. */
export interface SelfIdentity extends PeerIdentity {
  /** Random id of the data folder. */
  readonly diskId: string;
}

/** What a peer said about its disk; the storage remembers it and answers why it is to be refused, or null. */
export type AdmitPeer = (said: {
  readonly raftId: number;
  readonly incarnation: number;
  readonly diskId: string;
}) => string | null;

const REMOVED_NEXT =
  "if its disk was lost: holdfast members remove NAME, then holdfast members add NEWNAME --id NEW --grpc ADDRESS";
const CERTIFICATE_NEXT = "give each member a certificate whose common name is its name (tls.cert)";
const CONFIG_NEXT = "check the members and their addresses in the configuration";

/**
 * How a peer says "your disk is not the one that I know you by". The node that hears it has been wiped, replaced, or runs
 * beside another one of the same identity: it may not take part, and should stop and say so.
 */
export const DISK_REFUSED = ErrorCode.PERMISSION_DENIED;

/** The first frame on a link, and part of the first chunk of a snapshot stream. */
export function makeHello(self: SelfIdentity, to: number, toIncarnation: number): v1.IPeerHello {
  return {
    protocolVersion: PROTOCOL_VERSION,
    clusterId: self.clusterId,
    from: self.raftId,
    fromIncarnation: self.incarnation,
    to,
    toIncarnation,
    fromName: self.name,
    fromDisk: self.diskId,
  };
}

/** Why a peer may not call itself member `raftId` by this name; null when it may. */
export type ProvePeer = (raftId: number, name: string) => string | null;

/** Why a hello is refused; null when the peer is welcome. Says which of the things that must match does not. */
export function refuseHello(
  hello: v1.IPeerHello | null | undefined,
  self: SelfIdentity,
  admit: AdmitPeer,
  prove: ProvePeer,
): HoldfastError | null {
  if (!hello)
    return refuse(ErrorCode.INVALID_ARGUMENT, "the first frame of a peer is its hello", CONFIG_NEXT);
  if (hello.protocolVersion !== PROTOCOL_VERSION)
    return refuse(
      ErrorCode.UNSUPPORTED_VERSION,
      `peer protocol ${hello.protocolVersion}, this node speaks ${PROTOCOL_VERSION}`,
      "run the same version on all members",
    );
  if (hello.clusterId !== self.clusterId)
    return refuse(
      ErrorCode.WRONG_CLUSTER,
      `peer of cluster "${hello.clusterId}", this node belongs to "${self.clusterId}"`,
      CONFIG_NEXT,
    );
  if (hello.to !== self.raftId)
    return refuse(
      ErrorCode.UNKNOWN_MEMBER,
      `the peer looks for member ${hello.to}, this is member ${self.raftId} (${self.name})`,
      CONFIG_NEXT,
    );
  if (hello.toIncarnation && hello.toIncarnation !== self.incarnation)
    return refuse(
      ErrorCode.PRECONDITION_FAILED,
      `the peer looks for incarnation ${hello.toIncarnation} of member ${self.raftId}, this is ${self.incarnation}`,
      REMOVED_NEXT,
    );
  const from = hello.from;
  if (!isMemberId(from) || from === self.raftId)
    return refuse(ErrorCode.INVALID_ARGUMENT, `a peer cannot be member ${from} here`, CONFIG_NEXT);
  // Before its disk is remembered: a stranger must not leave a note under a member's number.
  const unproven = prove(from, hello.fromName ?? "");
  if (unproven !== null) return refuse(ErrorCode.ACCESS_DENIED, unproven, CERTIFICATE_NEXT);
  return refuseDisk(from, hello.fromIncarnation, hello.fromDisk, admit, DISK_REFUSED);
}

/** The answer to a hello. */
export function makeWelcome(self: SelfIdentity): v1.IPeerWelcome {
  return { node: self.raftId, incarnation: self.incarnation, disk: self.diskId };
}

/** Why the node that answered is not the one that was dialled; null when it is. */
export function refuseWelcome(
  welcome: v1.IPeerWelcome,
  expected: number,
  admit: AdmitPeer,
): HoldfastError | null {
  if (welcome.node !== expected)
    return refuse(
      ErrorCode.UNKNOWN_MEMBER,
      `member ${welcome.node} answers at the address of member ${expected}`,
      CONFIG_NEXT,
    );
  return refuseDisk(expected, welcome.incarnation, welcome.disk, admit, ErrorCode.PRECONDITION_FAILED);
}

function refuseDisk(
  raftId: number,
  incarnation: number | null | undefined,
  diskId: string | null | undefined,
  admit: AdmitPeer,
  code: ErrorCode,
): HoldfastError | null {
  if (!Number.isSafeInteger(incarnation) || !incarnation || !diskId || diskId.length > 64)
    return refuse(ErrorCode.INVALID_ARGUMENT, `member ${raftId} does not say which disk it has`, CONFIG_NEXT);
  const refusal = admit({ raftId, incarnation, diskId });
  return refusal === null ? null : refuse(code, refusal, REMOVED_NEXT);
}

function refuse(code: ErrorCode, message: string, next: string): HoldfastError {
  return new HoldfastError(code, message, { next });
}
