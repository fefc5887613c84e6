import type { Meter } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";

/** Help texts of the gauges below. */
export const FAILOVER_METRICS_HELP: Readonly<Record<string, string>> = {
  last_failover_id: "Record number of the latest of this kind: holdfast failovers show NUMBER",
  last_failover_phase_ms:
    "Phases of the latest of this kind, of the session that waited longest; together its pause",
  last_failover_client_gap_ms:
    "Longest pause that a client has reported of the latest of this kind; zero: none has",
  last_failover_sessions: "Sessions that the latest of this kind moved",
  last_failover_sessions_measured: "Those of them whose client's return was measured",
};

/**
 * The flight recorder's latest failover, transfer and so on as gauges, one set for each kind. Read from the replicated
 * records at each scrape and not counted as they happen: a record gets its figures over some hundred milliseconds, after a
 * restart it is still there, and every node tells the same.
 */
export function failoverGauges(meter: Meter, records: Iterable<v1.IFailoverRecord>): void {
  const latest = new Map<string, v1.IFailoverRecord>();
  for (const record of records) {
    const kind = record.kind ?? "";
    if ((latest.get(kind)?.id ?? 0) < (record.id ?? 0)) latest.set(kind, record);
  }
  for (const [kind, record] of latest) {
    meter.gauge("last_failover_id", record.id ?? 0, { kind });
    const phases = {
      detect: record.detectUs,
      elect: record.electUs,
      fence: record.fenceUs,
      reassign: record.reassignUs,
      reclaim: record.reclaimUs,
    };
    for (const [phase, us] of Object.entries(phases))
      meter.gauge("last_failover_phase_ms", (us ?? 0) / 1_000, { kind, phase });
    meter.gauge("last_failover_client_gap_ms", (record.clientGapUs ?? 0) / 1_000, { kind });
    meter.gauge("last_failover_sessions", record.sessions ?? 0, { kind });
    meter.gauge("last_failover_sessions_measured", record.sessionsMeasured ?? 0, { kind });
  }
}
