import type { v1 } from "../../wire/index.js";

/**
 * What the replicated records still tell of failovers and transfers that this node's kept events do not reach back to,
 * because it has started, or was given a snapshot, since. One event a record, marked as such, in the order of revisions.
 *
 * @param from the revision that was asked for; zero: all
 * @param before revision of the oldest event that is kept; nothing at or after it is told
 */
export function pastFailovers(
  records: Iterable<v1.IFailoverRecord>,
  from: number,
  before: number,
): v1.IEvent[] {
  const past: v1.IEvent[] = [];
  for (const record of records) {
    const revision = Number(record.revision ?? 0);
    if (revision === 0 || revision < from || revision >= before) continue;
    const to = (record.to ?? []).join(", ");
    past.push({
      revision,
      clusterTimeMs: Number(record.begunMs ?? 0),
      kind: "failover",
      text: `failover ${record.id}: ${record.kind} from ${record.from}${to === "" ? "" : ` to ${to}`}, ${record.cause} (from the record)`,
    });
  }
  return past.sort((a, b) => Number(a.revision) - Number(b.revision));
}
