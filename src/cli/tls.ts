import { readFileSync } from "node:fs";
import type { ClientTls } from "../client/index.js";
import { usageError } from "./usage-error.js";

/** Files with certificates, as flags give them. */
export interface TlsFlags {
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** Certificates from flags, else from the environment; undefined when there are none: plain connections. */
export function readTls(flags: TlsFlags, env: NodeJS.ProcessEnv): ClientTls | undefined {
  const ca = flags.tlsCa ?? env["HOLDFAST_TLS_CA"];
  const cert = flags.tlsCert ?? env["HOLDFAST_TLS_CERT"];
  const key = flags.tlsKey ?? env["HOLDFAST_TLS_KEY"];
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  if (ca === undefined || cert === undefined || key === undefined)
    throw usageError(
      "TLS needs all three of --tls-ca, --tls-cert and --tls-key",
      "name the CA of the cluster and this client's certificate and key",
    );
  return { ca: read(ca, "--tls-ca"), cert: read(cert, "--tls-cert"), key: read(key, "--tls-key") };
}

function read(file: string, flag: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw usageError(
      `${flag} ${file} cannot be read: ${(error as Error).message}`,
      "correct the path, or make the file readable for this user",
    );
  }
}
