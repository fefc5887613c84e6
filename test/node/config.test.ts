import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { checkConfig, loadConfig } from "../../src/node/config.js";
import { NODE_EXIT, NodeExitError } from "../../src/node/exit-codes.js";
import { optionsSchema } from "../../src/node/options.js";

const members = [
  { name: "n1", raftId: 1, grpc: "127.0.0.1:7401", http: "127.0.0.1:7501" },
  { name: "n2", raftId: 2, grpc: "127.0.0.1:7402", http: "127.0.0.1:7502" },
];
const minimal = { name: "n1", cluster: { id: "test", members }, data: "d/n1" };

function refusal(raw: unknown): NodeExitError {
  try {
    checkConfig(raw, "/base");
  } catch (error) {
    assert.ok(error instanceof NodeExitError, String(error));
    assert.equal(error.exitCode, NODE_EXIT.usage);
    assert.ok(!error.line.includes("\n"), error.line);
    assert.match(error.line, /^holdfast: .+\. Next: .+/);
    return error;
  }
  return assert.fail("was not refused");
}

describe("node configuration", () => {
  it("fills in addresses from the members and makes paths absolute", () => {
    const config = checkConfig({ ...minimal, shares: [{ name: "demo", path: "share" }] }, "/base");
    assert.equal(config.listen.grpc, "127.0.0.1:7401");
    assert.equal(config.advertise.http, "127.0.0.1:7501");
    assert.equal(config.data, "/base/d/n1");
    assert.equal(config.shares[0]?.path, "/base/share");
    assert.equal(config.member?.raftId, 1);
    assert.equal(config.options.leaseMs, 1000);
  });

  it("names the field and the value of what is wrong", () => {
    assert.match(refusal({ ...minimal, name: "n 1" }).message, /name is "n 1"/);
    assert.match(refusal({ ...minimal, datta: 1 }).message, /no field datta/);
    assert.match(refusal({ ...minimal, data: undefined }).message, /data is missing/);
    assert.match(refusal({ ...minimal, options: { leaseMs: 1.5 } }).message, /options\.leaseMs is 1\.5/);
    assert.match(
      refusal({ ...minimal, options: { leazeMs: 1 } }).message,
      /options: there is no field leazeMs/,
    );
    assert.match(refusal({ ...minimal, name: "n9" }).message, /none of cluster\.members \(n1, n2\)/);
    assert.match(refusal({ ...minimal, roles: ["file-node"] }).message, /roles has no coordinator/);
    assert.match(refusal(null).message, /configuration/);
  });

  it("refuses members that share a name, a number or an address", () => {
    const [first, second] = members;
    for (const field of ["name", "raftId", "grpc"] as const) {
      const twice = [first, { ...second, [field]: first?.[field] }];
      assert.match(
        refusal({ ...minimal, cluster: { id: "t", members: twice } }).message,
        new RegExp(`${field} .+ twice`),
      );
    }
  });

  it("listens beyond loopback only with TLS or insecure: true", () => {
    const open = { ...minimal, listen: { grpc: "0.0.0.0:7401" } };
    assert.match(refusal(open).message, /listen\.grpc is 0\.0\.0\.0:7401, beyond loopback, without tls/);
    assert.equal(checkConfig({ ...open, insecure: true }, "/").listen.grpc, "0.0.0.0:7401");
    const tls = { cert: "a", key: "b", ca: "/c" };
    assert.deepEqual(checkConfig({ ...open, tls }, "/base").tls, {
      cert: "/base/a",
      key: "/base/b",
      ca: "/c",
    });
    const operators = ["ops", "x".repeat(64)];
    assert.deepEqual(checkConfig({ ...open, tls: { ...tls, operators } }, "/base").tls?.operators, operators);
    // Nobody at all would be allowed to, or a name that no certificate has.
    for (const wrong of [[], ["x".repeat(65)], [""], "ops", Array.from({ length: 257 }, (_, i) => `op${i}`)])
      assert.match(refusal({ ...open, tls: { ...tls, operators: wrong } }).message, /tls\.operators/);
    for (const loopback of ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"]) {
      assert.equal(checkConfig({ ...minimal, listen: { grpc: loopback } }, "/").listen.grpc, loopback);
    }
  });

  it("refuses settings without margin, at the edge", () => {
    const edges: [Record<string, number>, Record<string, number>, RegExp][] = [
      [{ electionTicks: 9 }, { electionTicks: 8 }, /electionTicks.*three times heartbeatTicks/],
      [{ leaseMs: 700 }, { leaseMs: 699 }, /leaseMs.*three times leaseHeartbeatMs/],
      [{ leaseMs: 2000 }, { leaseMs: 2001 }, /leaseMarginMs.*twentieth/],
      [{ inflightBytesMax: 1048576 }, { inflightBytesMax: 1048575 }, /inflightBytesMax.*appendBytesMax/],
      [{ proposalTimeoutMs: 1200 }, { proposalTimeoutMs: 1199 }, /proposalTimeoutMs.*two full election/],
    ];
    for (const [good, bad, message] of edges) {
      checkConfig({ ...minimal, options: good }, "/");
      assert.match(refusal({ ...minimal, options: bad }).message, message);
    }
  });

  it("holds each option's bounds at their edges", () => {
    for (const [name, schema] of Object.entries(optionsSchema.shape)) {
      const inner = schema.unwrap();
      const min = inner.minValue ?? Number.NaN;
      const max = inner.maxValue ?? Number.NaN;
      assert.ok(inner.safeParse(min).success && inner.safeParse(max).success, name);
      assert.ok(!inner.safeParse(min - 1).success && !inner.safeParse(max + 1).success, name);
      assert.ok(schema.safeParse(undefined).success, `${name} has a default`);
    }
  });

  it("takes file, then environment, then flags", () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-config-"));
    try {
      const file = join(folder, "node.yaml");
      writeFileSync(file, JSON.stringify({ ...minimal, options: { leaseMs: 1100, tickMs: 21 } }));
      const env = {
        HOLDFAST_NODE_OPTIONS_LEASEMS: "1200",
        HOLDFAST_NODE_DATA: "/other",
        HOLDFAST_ENDPOINTS: "x",
      };
      const config = loadConfig({ file, env, settings: ["options.leaseMs=1300"] });
      assert.equal(config.options.leaseMs, 1300);
      assert.equal(config.options.tickMs, 21);
      assert.equal(config.data, "/other");
      assert.equal(loadConfig({ file, env: {}, settings: [] }).data, join(folder, "d/n1"));
      const bad = (run: () => unknown, pattern: RegExp) =>
        assert.throws(run, (error) => error instanceof NodeExitError && pattern.test(error.message));
      bad(() => loadConfig({ env: {}, settings: [] }), /a node wants a configuration/);
      bad(() => loadConfig({ file, env: { HOLDFAST_NODE_FROB: "1" }, settings: [] }), /HOLDFAST_NODE_FROB/);
      bad(() => loadConfig({ file, env: {}, settings: ["frob=1"] }), /no setting frob/);
      bad(() => loadConfig({ file, env: {}, settings: ["frob"] }), /wants path=value/);
      bad(() => loadConfig({ file: join(folder, "none"), env: {}, settings: [] }), /cannot be read/);
      writeFileSync(file, "name: [");
      bad(() => loadConfig({ file, env: {}, settings: [] }), /line 1/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("accepts the files of deploy/, which differ in the name alone", () => {
    const files = ["n1", "n2", "n3"].map((name) =>
      readFileSync(new URL(`../../../deploy/${name}.yaml`, import.meta.url), "utf8"),
    );
    files.forEach((text, i) => {
      const config = checkConfig(parse(text), "/etc/holdfast");
      assert.equal(config.name, `n${i + 1}`);
      assert.equal(config.listen.grpc, `10.77.0.${i + 1}:7401`);
      assert.equal(
        text.replaceAll(/^name: n\d$|Host n\d /gm, ""),
        files[0]?.replaceAll(/^name: n\d$|Host n\d /gm, ""),
      );
    });
  });
});
