import { join } from "node:path";
import { stringify } from "yaml";

/** One node of a cluster on this host. */
export interface LocalNode {
  readonly name: string;
  readonly raftId: number;
  readonly grpc: string;
  readonly http: string;
  /** Its own folder. */
  readonly data: string;
  /** Its configuration file. */
  readonly config: string;
}

/** HTTP is this much above gRPC. */
export const HTTP_OFFSET = 100;

/** Nodes n1, n2, ... on loopback from `basePort` on, with their folders under `data`. */
export function localNodes(data: string, basePort: number, count = 3): LocalNode[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `n${i + 1}`;
    const folder = join(data, name);
    return {
      name,
      raftId: i + 1,
      grpc: `127.0.0.1:${basePort + i}`,
      http: `127.0.0.1:${basePort + i + HTTP_OFFSET}`,
      data: folder,
      config: join(folder, "node.yaml"),
    };
  });
}

/** The configuration file of one of them. `options` are timeouts and bounds other than the defaults. */
export function localConfig(
  node: LocalNode,
  nodes: readonly LocalNode[],
  share: string,
  options: Readonly<Record<string, number>> = {},
): string {
  return `# Written by holdfast up at each start; further settings go on the command line: holdfast node --config ... --set path=value\n${stringify(
    {
      name: node.name,
      cluster: {
        id: "local",
        members: nodes.map(({ name, raftId, grpc, http }) => ({ name, raftId, grpc, http })),
      },
      data: node.data,
      shares: [{ name: "demo", path: share }],
      ...(Object.keys(options).length === 0 ? {} : { options }),
    },
  )}`;
}
