import type { MemberChange } from "../../replica/api.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { parseAddress } from "../address.js";
import { NODE_NAME, NODE_NAME_WORDS } from "../config.js";

/**
 * The member that a change is about. A new one is checked like one in a configuration file: the change itself is counted
 * by its id alone, so a name or an address that nobody can use would stay in the group and be found out much later. Of a
 * present one only id or name matter; the rest is what the state has, whatever the request says.
 *
 * @throws HoldfastError INVALID_ARGUMENT, or NO_CHANGE for a member that is there already just as asked for.
 */
export function memberOf(
  action: MemberChange["action"],
  asked: v1.IMemberRecord,
  present: readonly v1.IMemberRecord[],
): v1.IMemberRecord {
  if (action === "add-learner") return newMember(asked, present);
  const byId = present.find((member) => member.raftId === asked.raftId);
  const found = asked.raftId ? byId : present.find((member) => member.name === asked.name);
  return found ?? asked;
}

function newMember(asked: v1.IMemberRecord, present: readonly v1.IMemberRecord[]): v1.IMemberRecord {
  const raftId = asked.raftId ?? 0;
  const name = asked.name ?? "";
  const grpc = asked.grpcAddress ?? "";
  const http = asked.httpAddress ?? "";
  const highest = Math.max(0, ...present.map((member) => member.raftId ?? 0));
  const above = `take an id above ${highest}`;
  if (raftId < 1 || raftId > limits.raftIdMax)
    throw refused(`member id ${raftId} is not from 1 to ${limits.raftIdMax}`, above);
  if (!NODE_NAME.test(name))
    throw refused(`member name ${JSON.stringify(name)} must be ${NODE_NAME_WORDS}`, "give another name");
  if (!dialable(grpc))
    throw refused(
      `address ${JSON.stringify(grpc)} is not host:port`,
      "give the address where it listens for gRPC",
    );
  if (http !== "" && !dialable(http))
    throw refused(
      `address ${JSON.stringify(http)} is not host:port`,
      "give the address where it listens for HTTP",
    );
  for (const member of present) {
    if (member.raftId === raftId && member.name === name && member.grpcAddress === grpc)
      throw new HoldfastError(ErrorCode.NO_CHANGE, `${name} is member ${raftId} already`, { next: LOOK });
    if (member.raftId === raftId || member.name === name)
      throw refused(
        `${member.name} is member ${member.raftId}; a new member needs a name and an id that were never used`,
        above,
      );
    if (member.grpcAddress === grpc)
      throw refused(
        `${member.name} (member ${member.raftId}) has the address ${grpc}`,
        "give the new member's own address",
      );
  }
  return asked;
}

const LOOK = "holdfast members";

/** Port 0 is a wish to a listener, and nothing that others could dial. */
function dialable(address: string): boolean {
  return (parseAddress(address)?.port ?? 0) > 0;
}

function refused(message: string, next: string): HoldfastError {
  return new HoldfastError(ErrorCode.INVALID_ARGUMENT, message, { next });
}
