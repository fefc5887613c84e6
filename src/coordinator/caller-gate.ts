import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { bodyOf } from "./command-gate.js";

/**
 * Why a file server that proved its name may not send this: it speaks in the name of another. Without it, whoever holds a
 * certificate of the cluster could declare any node stopped, or write under its sessions and keys. `proven` null: no TLS,
 * nothing to hold it to.
 */
export function refuseOtherName(proven: string | null, command: v1.ICommand): v1.IErrorDetail | null {
  if (proven === null) return null;
  const body = bodyOf(command);
  if (body === "batch") {
    for (const inner of command.batch?.commands ?? []) {
      const problem = refuseOtherName(proven, inner);
      if (problem !== null) return problem;
    }
    return null;
  }
  const said = body === undefined ? undefined : spokenFor(command[body as keyof v1.ICommand] as Fields);
  return said === undefined || said === proven ? null : refusal(proven, said);
}

/** The same for a heartbeat: a lease must not be kept alive by somebody else. */
export function refuseOtherHeartbeat(
  proven: string | null,
  request: v1.IHeartbeatRequest,
): v1.IErrorDetail | null {
  const said = request.node ?? "";
  return proven === null || said === proven ? null : refusal(proven, said);
}

type Fields = {
  readonly fence?: { readonly node?: string | null } | null;
  readonly node?: string | { readonly name?: string | null } | null;
};

/** The file server in whose name a command speaks; undefined when it names none. */
function spokenFor(fields: Fields): string | undefined {
  const { fence, node } = fields;
  if (fence?.node) return fence.node;
  if (typeof node === "string") return node;
  return node?.name ?? undefined;
}

function refusal(proven: string, said: string): v1.IErrorDetail {
  return errorDetail(
    ErrorCode.ACCESS_DENIED,
    `the certificate is ${JSON.stringify(proven)}'s, the call speaks for ${JSON.stringify(said)}`,
    { next: "give each file server a certificate whose common name is its node name" },
  );
}
