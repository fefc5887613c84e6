import type { Replica } from "../replica/api.js";
import { realClock } from "../runtime/index.js";
import type { NodeConfig } from "./config.js";
import type { HealthChecks } from "./health.js";
import type { LoopDelay } from "./loop-delay.js";

/** What the checks look at. */
interface CheckSources {
  readonly config: NodeConfig;
  readonly replica: Replica;
  readonly loopDelay: LoopDelay;
  readonly timeoutMs: number;
  leaseLeftMs(): number | undefined;
  stopping(): boolean;
}

/** Above this a restart is the better way: the loop is stuck in something that will not end. */
const LOOP_DEAD_MS = 10_000;

/** The checks of /livez and /readyz. */
export function addHealthChecks(health: HealthChecks, sources: CheckSources): void {
  const { replica, loopDelay } = sources;
  health.add("live", "event-loop", () => {
    const ms = loopDelay.percentileMs(99);
    return { ok: ms < LOOP_DEAD_MS, text: `p99 ${ms.toFixed(1)} ms late` };
  });
  health.add("live", "disk", () => {
    const { errors, fsyncP99Ms } = replica.status();
    return {
      ok: true,
      text: errors.length === 0 ? `fsync p99 ${fsyncP99Ms.toFixed(1)} ms` : errors.join("; "),
    };
  });
  health.add("ready", "not-stopping", () => ({
    ok: !sources.stopping(),
    text: sources.stopping() ? "stopping" : "running",
  }));
  health.add("ready", "linearizable-read", async () => {
    const began = realClock.monotonicMs();
    const revision = await replica.readBarrier(began + sources.timeoutMs);
    return { ok: true, text: `revision ${revision} in ${(realClock.monotonicMs() - began).toFixed(1)} ms` };
  });
  if (!sources.config.roles.includes("file-node")) return;
  health.add("ready", "node-lease", () => {
    const left = sources.leaseLeftMs() ?? 0;
    return { ok: left > 0, text: left > 0 ? `${Math.round(left)} ms left` : "not held" };
  });
  health.add("ready", "registered", () => {
    const status = replica.state.node(sources.config.name)?.status;
    return { ok: status === 1, text: status === 1 ? "up" : "not registered as up" };
  });
}
