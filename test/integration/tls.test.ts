import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { FORWARDED, ON_BEHALF_OF } from "../../src/filenode/grpc-forward.js";
import { fromServiceError } from "../../src/wire/grpc-errors.js";
import type { v1 } from "../../src/wire/index.js";
import { services } from "../../src/wire/services.js";
import { connect, connectKeys, ErrorCode, HoldfastError } from "../../src/client/index.js";
import { type CertificateFiles, TestAuthority } from "./certificates.js";
import { run, TestCluster, until } from "./cluster.js";

const pem = (files: CertificateFiles) => ({
  ca: readFileSync(files.ca),
  cert: readFileSync(files.cert),
  key: readFileSync(files.key),
});

const flags = (files: CertificateFiles) => [
  "--tls-ca",
  files.ca,
  "--tls-cert",
  files.cert,
  "--tls-key",
  files.key,
];

/** One unary call of a thin client; `claim`: says besides in whose name it was passed on. */
function fileCall<Reply>(
  address: string,
  files: CertificateFiles,
  method: string,
  request: object,
  claim?: string,
): Promise<Reply> {
  const definition = services.FileService[method];
  assert.ok(definition);
  const { ca, cert, key } = pem(files);
  const client = new Client(address, credentials.createSsl(ca, key, cert));
  const metadata = new Metadata();
  if (claim !== undefined) {
    metadata.set(FORWARDED, claim);
    metadata.set(ON_BEHALF_OF, Buffer.from(claim));
  }
  return new Promise<Reply>((resolve, reject) => {
    client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      metadata,
      { deadline: Date.now() + 60_000 },
      (error: ServiceError | null, reply: unknown) =>
        error === null ? resolve(reply as Reply) : reject(fromServiceError(error)),
    );
  }).finally(() => client.close());
}

/** A session of single calls at one node. */
async function thinSession(address: string, files: CertificateFiles): Promise<v1.ICallContext> {
  const clientGuid = new Uint8Array(16).fill(7);
  const request = { clientGuid, clientName: "thin", protocolVersion: 1 };
  const info = await fileCall<v1.ISessionInfo>(address, files, "OpenSession", request);
  const { sessionId, resumeToken } = info;
  return { sessionId: sessionId ?? 0, clientGuid, resumeToken: resumeToken ?? null, protocolVersion: 1 };
}

describe("a cluster with TLS", function () {
  this.timeout(300_000);
  let cluster: TestCluster;
  let authority: TestAuthority;
  let alice: CertificateFiles;
  let operator: CertificateFiles;

  before(async function () {
    if (spawnSync("openssl", ["version"]).status !== 0) {
      console.error("SKIPPED: TLS of a cluster, because openssl is not installed");
      this.skip();
    }
    cluster = await TestCluster.create();
    const folder = join(cluster.folder, "certificates");
    mkdirSync(folder);
    authority = new TestAuthority(folder);
    alice = authority.issue("alice");
    operator = authority.issue("ops");
    for (const node of cluster.nodes) {
      const { ca, cert, key } = authority.issue(node.name);
      appendFileSync(node.config, `tls: { ca: ${ca}, cert: ${cert}, key: ${key}, operators: [ops, root] }\n`);
    }
    cluster.startAll();
    await cluster.untilReady();
  });

  after(() => cluster?.destroy());

  it("serves the command line and the library with a certificate, through the death of an owner", async () => {
    await until("all are well", 60_000, async () => {
      const status = await run(["--endpoints", cluster.endpoints, ...flags(alice), "status"]);
      assert.equal(status.code, 0, status.stderr);
      return true;
    });
    const source = join(cluster.folder, "source");
    writeFileSync(source, "carried over TLS");
    const put = await run([
      "--endpoints",
      cluster.endpoints,
      ...flags(alice),
      "files",
      "put",
      source,
      "demo:/tls",
    ]);
    assert.equal(put.code, 0, put.stderr);

    const session = await connect({
      nodes: cluster.endpoints.split(","),
      tls: pem(alice),
      deadlineMs: 60_000,
    });
    const handle = await session.open("demo:/tls");
    const list = await run(["--endpoints", cluster.endpoints, ...flags(alice), "sessions", "-o", "json"]);
    const { items } = JSON.parse(list.stdout) as {
      items: { session: string; owner: string; principal: string }[];
    };
    const own = items.find((item) => item.session === String(session.id));
    assert.equal(own?.principal, "alice");
    await cluster.kill(own?.owner ?? "");
    assert.equal(new TextDecoder().decode(await handle.read(0, 64)), "carried over TLS");
    await handle.close();
    await session.close();
    cluster.startNode(own?.owner ?? "");
    await cluster.untilReady();
  });

  it("refuses who has no certificate, or another authority's", async () => {
    const none = await run(["--endpoints", cluster.endpoints, "--timeout", "2s", "nodes"]);
    assert.notEqual(none.code, 0);
    const folder = join(cluster.folder, "strangers");
    mkdirSync(folder);
    const stranger = new TestAuthority(folder).issue("alice");
    const tls = { ...pem(stranger), ca: readFileSync(alice.ca) };
    await assert.rejects(connect({ nodes: cluster.endpoints.split(","), tls, deadlineMs: 2_000 }));
  });

  it("says which flag is missing or cannot be read", async () => {
    const part = await run(["--tls-ca", alice.ca, "status"]);
    assert.equal(part.code, 2);
    assert.match(part.stderr, /--tls-cert/);
    const lost = await run(["--tls-ca", "/none", "--tls-cert", alice.cert, "--tls-key", alice.key, "status"]);
    assert.equal(lost.code, 2);
    assert.match(lost.stderr, /--tls-ca \/none cannot be read/);
  });

  it("lets a file server speak for itself alone", async () => {
    const nodes = cluster.endpoints.split(",");
    const own = connectKeys({ nodes, server: "alice", incarnation: 1, tls: pem(alice), deadlineMs: 60_000 });
    const record = await own.claim("tls/key", new Uint8Array([1]));
    assert.equal(record.owner, "alice");
    const other = connectKeys({ nodes, server: "n1", incarnation: 9, tls: pem(alice), deadlineMs: 60_000 });
    await assert.rejects(
      other.claim("tls/other", new Uint8Array([1])),
      (error: HoldfastError) => error.code === ErrorCode.ACCESS_DENIED && /alice/.test(error.message),
    );
    other.close();
    own.close();
  });

  it("lets operators alone change the cluster, and everybody look at it", async () => {
    const as = (files: CertificateFiles, ...args: string[]) =>
      run(["--endpoints", cluster.endpoints, ...flags(files), ...args]);
    const scheduled = async () => {
      const { stdout } = await as(alice, "nodes", "-o", "json");
      const { items } = JSON.parse(stdout) as {
        items: { node: string; cordoned: boolean; draining: boolean }[];
      };
      assert.ok(items.length >= 3, stdout);
      return items.filter(({ cordoned, draining }) => cordoned || draining).map(({ node }) => node);
    };
    assert.deepEqual(await scheduled(), []);
    const changes = [
      ["cordon", "n2", "--reason", "test"],
      ["drain", "n2", "--reason", "test"],
      ["leader", "move"],
      ["members", "remove", "n3"],
      ["ops", "cancel", "nothing"],
    ];
    for (const args of changes) {
      const refused = await as(alice, ...args);
      assert.equal(refused.code, 1, `${args.join(" ")}: ${refused.stdout}${refused.stderr}`);
      assert.match(refused.stderr, /"alice" is none of an operator's/);
      assert.match(refused.stderr, /--tls-cert/);
    }
    assert.deepEqual(await scheduled(), []);
    for (const args of [["nodes"], ["failovers"], ["events"], ["members"], ["explain", "leader"]]) {
      const read = await as(alice, ...args);
      assert.equal(read.code, 0, `${args.join(" ")}: ${read.stderr}`);
    }
    const plan = await as(alice, "drain", "n2", "--dry-run");
    assert.doesNotMatch(plan.stderr, /operator/);

    const cordoned = await as(operator, "cordon", "n2", "--reason", "test");
    assert.equal(cordoned.code, 0, cordoned.stderr);
    assert.deepEqual(await scheduled(), ["n2"]);
    const uncordoned = await as(operator, "uncordon", "n2");
    assert.equal(uncordoned.code, 0, uncordoned.stderr);
  });

  it("holds a call that a node passes on to the name of its caller, and believes nobody but nodes", async () => {
    const session = await until("a session is opened", 60_000, () =>
      thinSession(cluster.node("n1").grpc, alice),
    );
    const request = { context: session, share: "demo", path: "tls" };
    const elsewhere = cluster.node("n2").grpc;
    // A node that has stalled past its lease refuses until it holds the next.
    await until("a call is passed on", 60_000, async () => {
      const stat = await fileCall<v1.IStatReply>(elsewhere, alice, "Stat", request);
      return stat.info?.size === 16;
    });
    // A session's number, guid and token are not enough: with another certificate it is not theirs, wherever they ask.
    const mallory = authority.issue("mallory");
    for (const address of [cluster.node("n1").grpc, elsewhere])
      for (const claim of [undefined, "alice"])
        await assert.rejects(
          fileCall(address, mallory, "Stat", request, claim),
          (error: HoldfastError) =>
            error.code === ErrorCode.PERMISSION_DENIED || error.code === ErrorCode.ACCESS_DENIED,
        );
  });

  it("does not link with a peer whose certificate is not its name's", async () => {
    const node = cluster.node("n3");
    await cluster.kill("n3", "SIGTERM");
    const { cert, key } = alice;
    cluster.startNode("n3", "--set", `tls.cert=${cert}`, "--set", `tls.key=${key}`);
    await until("the refusal is logged by a peer", 60_000, () =>
      ["n1", "n2"].some((name) =>
        /refused a peer link.*|the certificate is .*alice/.test(
          readFileSync(join(cluster.node(name).data, "log"), "utf8"),
        ),
      ),
    );
    assert.equal((await fetch(`http://${node.http}/readyz`)).ok, false);
    await cluster.kill("n3");
    cluster.startNode("n3");
    await cluster.untilReady(["n3"]);
  });
});
