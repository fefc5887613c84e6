import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { type Check, checks } from "./field-checks.js";

type Body = NonNullable<v1.Command["body"]>;

const fenced = [checks.fence()];
const request = [checks.fence(), checks.request()];
const handle = [...request, checks.guid("handleId")];
const key = [checks.key(), checks.node("node")];

/**
 * What a file server may ask for, and what each field may be. What is not here belongs to the cluster itself (its
 * first record, expiries, members) or to operators, and is refused at this door.
 */
const ALLOWED = new Map<Body, readonly Check[]>([
  ["registerNode", [checks.registration()]],
  ["nodeDown", [checks.leaving()]],
  [
    "openSession",
    [checks.guid("clientGuid"), checks.node("node"), ...checks.labels("principal", "clientName")],
  ],
  ["connectSession", [checks.guid("clientGuid"), checks.node("node"), ...checks.labels("principal")]],
  ["disconnectSession", fenced],
  ["closeSession", request],
  ["takeoverDone", fenced],
  [
    "openHandle",
    [
      ...request,
      checks.guid("createGuid", true),
      checks.guid("handleId", true),
      checks.name("share"),
      checks.path("path"),
      checks.bytes("blob", limits.blobBytesMax),
      checks.lease(),
    ],
  ],
  ["reconnectHandle", [...handle, checks.guid("createGuid", true), checks.path("path"), checks.lease()]],
  ["closeHandle", [...handle, checks.bytes("closeResult", limits.replyBytesMax)]],
  ["useHandle", [...fenced, checks.guid("handleId")]],
  ["setDisposition", handle],
  ["lock", [...handle, checks.count("elements", 1, limits.lockElementsMax)]],
  ["lockPrepared", [checks.node("node")]],
  ["cancelPending", request],
  ["ackLease", [...fenced, checks.guid("clientGuid"), checks.guid("key")]],
  ["breakLeases", [...fenced, checks.guid("handleId"), ...checks.labels("operation")]],
  ["beginEffect", [checks.effect()]],
  ["finishEffect", [checks.node("node"), checks.bytes("outcome", limits.replyBytesMax)]],
  ["setBlob", [...handle, checks.bytes("blob", limits.blobBytesMax)]],
  ["claimKey", [...key, checks.bytes("state", limits.keyStateBytesMax)]],
  ["storeKey", [...key, checks.bytes("state", limits.keyStateBytesMax)]],
  ["releaseKey", key],
  ["freezeSession", fenced],
  ["moveSession", [...fenced, checks.unforced()]],
  ["notePauses", [checks.node("node"), checks.count("pauses", 1, limits.batchCommandsMax)]],
]);

/** Which body of the command is set; "batch" included; undefined for none. */
export function bodyOf(command: v1.ICommand): Body | undefined {
  const own = (command as v1.Command).body;
  if (own !== undefined) return own;
  for (const name of Object.keys(command)) if (command[name as keyof v1.ICommand]) return name as Body;
  return undefined;
}

/** Why a command from outside is refused before it is proposed; null when it may go on. */
export function gate(command: v1.ICommand): v1.IErrorDetail | null {
  const body = bodyOf(command);
  if (body === undefined) return invalid("the command has no body, or one that this version does not know");
  if (body !== "batch") return gateOne(command, body);
  const commands = command.batch?.commands ?? [];
  if (commands.length === 0 || commands.length > limits.batchCommandsMax)
    return invalid(`a batch holds 1 to ${limits.batchCommandsMax} commands, not ${commands.length}`);
  for (const [i, inner] of commands.entries()) {
    const innerBody = bodyOf(inner);
    const problem =
      innerBody === undefined || innerBody === "batch"
        ? invalid("it is empty or a batch")
        : gateOne(inner, innerBody);
    if (problem !== null) return { ...problem, message: `command ${i} of the batch: ${problem.message}` };
  }
  return null;
}

function gateOne(command: v1.ICommand, body: Body): v1.IErrorDetail | null {
  const list = ALLOWED.get(body);
  if (list === undefined)
    return errorDetail(ErrorCode.PERMISSION_DENIED, `${body} is not a call for file servers`, {
      next: "see proto/holdfast/v1/coordinator.proto for what they may send; operators use the holdfast command",
    });
  const fields = command[body as keyof v1.ICommand] as Record<string, unknown>;
  for (const field of Object.keys(fields)) {
    // Only byte-range locks count beyond what a number holds, and they stand deeper.
    if (typeof fields[field] === "bigint") return invalid(`${body}: ${field} is above 2^53-1`);
  }
  for (const check of list) {
    const problem = check(fields);
    if (problem !== null) return invalid(`${body}: ${problem}`);
  }
  return null;
}

function invalid(message: string): v1.IErrorDetail {
  return errorDetail(ErrorCode.INVALID_ARGUMENT, message);
}
