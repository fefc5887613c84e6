/** Host and port of "127.0.0.1:7401", "[::1]:7401" or "host.example:7401"; null when it is neither. */
export function parseAddress(text: string): { readonly host: string; readonly port: number } | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  const host = match[1] ?? match[2];
  return host === undefined || port > 65_535 ? null : { host, port };
}

/** True when only this host can reach the address. */
export function isLoopback(address: string): boolean {
  const host = parseAddress(address)?.host ?? "";
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
