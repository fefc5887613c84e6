import { readFileSync } from "node:fs";
import { credentials, ServerCredentials, type ChannelCredentials } from "@grpc/grpc-js";
import type { NodeConfig } from "./config.js";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";

/** What the node's server shows and asks of clients: with TLS, both sides need a certificate of the cluster's CA. */
export function serverCredentials(config: NodeConfig): ServerCredentials {
  if (config.tls === undefined) return ServerCredentials.createInsecure();
  const { ca, cert, key } = readFiles(config.tls);
  return ServerCredentials.createSsl(ca, [{ private_key: key, cert_chain: cert }], true);
}

/** What the node shows when it dials its peers. */
export function channelCredentials(config: NodeConfig): ChannelCredentials {
  if (config.tls === undefined) return credentials.createInsecure();
  const { ca, cert, key } = readFiles(config.tls);
  return credentials.createSsl(ca, key, cert);
}

function readFiles(tls: NonNullable<NodeConfig["tls"]>) {
  return {
    ca: readPem(tls.ca, "tls.ca"),
    cert: readPem(tls.cert, "tls.cert"),
    key: readPem(tls.key, "tls.key"),
  };
}

function readPem(file: string, field: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new NodeExitError(
      NODE_EXIT.usage,
      `configuration: ${field} is ${file}, which cannot be read: ${(error as Error).message}`,
      "correct the path, or make the file readable for this user",
    );
  }
}
