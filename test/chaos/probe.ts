/** Asks every node how it is and prints one JSON line; runs in the clients' host. Arguments: the endpoints. */
import { AdminEndpoint } from "../../src/cli/admin-client.js";
import type { NodeRow } from "./records.js";

const TIMEOUT_MS = 2_000;

async function ask(endpoint: string): Promise<NodeRow | null> {
  const admin = new AdminEndpoint(endpoint);
  try {
    const state = await admin.call("GetStatus", {}, TIMEOUT_MS);
    return {
      node: state.name ?? "",
      role: state.role ?? "",
      term: Number(state.term ?? 0),
      clusterTimeMs: Number(state.clusterTimeMs ?? 0),
      atMs: performance.timeOrigin + performance.now(),
    };
  } catch {
    return null;
  } finally {
    admin.close();
  }
}

const rows = await Promise.all(process.argv.slice(2).map(ask));
process.stdout.write(`${JSON.stringify(rows.filter((row) => row !== null))}\n`);
