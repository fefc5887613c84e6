import type { ServerUnaryCall } from "@grpc/grpc-js";
import { provenName } from "../../wire/caller.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";

/** Throws PERMISSION_DENIED unless the caller may change the cluster; answers nothing. */
export type OperatorGate = (method: string, call: Pick<ServerUnaryCall<unknown, unknown>, "getPeer">) => void;

/**
 * Who may change the cluster through the Admin service: with `tls.operators`, whoever proves one of these names; without
 * it, everybody who was let in. Reading is never refused here: a client that looks does no harm, and `holdfast status`
 * is what everybody tries first.
 */
export function operatorGate(node: string, operators: readonly string[] | undefined): OperatorGate {
  if (operators === undefined) return () => {};
  const names = new Set(operators);
  return (method, call) => {
    const proven = provenName(call) ?? "";
    if (names.has(proven)) return;
    throw new HoldfastError(
      ErrorCode.PERMISSION_DENIED,
      `${method} changes the cluster, and the certificate of ${JSON.stringify(proven)} is none of an operator's`,
      {
        next: "give an operator's with --tls-cert and --tls-key, or add the name to tls.operators of every node",
        node,
      },
    );
  };
}
