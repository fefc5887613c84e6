import assert from "node:assert/strict";
import { replicaDefaults } from "../../src/replica/index.js";
import { channelOptions, defaultTransportOptions } from "../../src/transport/options.js";

describe("lesson L8: links come back sooner than elections begin", () => {
  const { tickMs, electionTicks, heartbeatTicks } = replicaDefaults;
  const shortestElectionMs = tickMs * electionTicks;

  it("two dials fit between the last heartbeat heard and the shortest election timeout", () => {
    const { backoffMinMs, backoffMaxMs } = defaultTransportOptions;
    assert.ok(backoffMinMs > 0 && backoffMinMs <= backoffMaxMs);
    const quietMs = tickMs * heartbeatTicks;
    assert.ok(
      2 * backoffMaxMs + quietMs < shortestElectionMs,
      `${backoffMaxMs} against ${shortestElectionMs}`,
    );
  });

  it("gRPC below waits no longer than the link above it", () => {
    const options = channelOptions(defaultTransportOptions);
    assert.equal(options["grpc.max_reconnect_backoff_ms"], defaultTransportOptions.backoffMaxMs);
    assert.equal(options["grpc.initial_reconnect_backoff_ms"], defaultTransportOptions.backoffMinMs);
  });
});
