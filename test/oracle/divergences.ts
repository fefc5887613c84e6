/** A case whose output differs from etcd's on purpose. An entry that has come to agree, or names no case, is an error. */
export interface Divergence {
  /** Folder and file, such as `interaction/campaign.txt`. */
  readonly file: string;
  /** Line of the directive. */
  readonly line: number;
  readonly reason: string;
}

/** None: where our core is stricter than etcd's, the driver asks it for etcd's behaviour (CoreMode in src/raft/state.ts). */
export const DIVERGENCES: readonly Divergence[] = [];
