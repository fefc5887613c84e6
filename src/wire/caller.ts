/** What of a gRPC server call tells who calls. */
interface AuthenticatedCall {
  getAuthContext?(): { sslPeerCertificate?: { subject?: { CN?: string | string[] } } };
}

/**
 * The name in the certificate of whoever calls (its common name); null on a connection without TLS, where nobody proves
 * anything.
 */
export function provenName(call: unknown): string | null {
  const certificate = (call as AuthenticatedCall).getAuthContext?.().sslPeerCertificate;
  const name = certificate?.subject?.CN;
  if (certificate === undefined) return null;
  return (Array.isArray(name) ? name[0] : name) ?? "";
}
