import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { connect, type Session } from "../../src/client/index.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { failureOf, NAMES_NOTHING, NO_SUCH_WORD } from "./lookups.js";
import { bin, ended, type Ended, freePorts, run, TestCluster, until } from "./cluster.js";

interface Document {
  readonly schemaVersion: number;
  readonly kind: string;
  readonly items: Record<string, unknown>[];
}

describe("the command line against a cluster", function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  let session: Session;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-cli-"));
    cluster = await TestCluster.start();
    session = await connect({ nodes: grpcs(), clientName: "it-client", deadlineMs: 60_000 });
    const handle = await session.open("demo:/open.txt", { disposition: "open-if" });
    await handle.lock({ offset: 10, length: 2n ** 63n });
  });
  after(async () => {
    await session?.close();
    await cluster?.destroy();
    rmSync(folder, { recursive: true, force: true });
  });

  const grpcs = () => cluster.nodes.map((node) => node.grpc);
  const documentOf = async (...args: string[]) =>
    JSON.parse((await cluster.cli(...args, "-o", "json")).stdout) as Document;
  const ownRow = async () => {
    const [own] = (await documentOf("sessions")).items.filter((row) => row["client"] === "it-client");
    return own ?? assert.fail("the session of this test is not listed");
  };

  it("status: every node a row, exit code 0 when all are well", async () => {
    const table = await until("all are well", 60_000, async () => {
      const result = await cluster.cli("status");
      return result.code === 0 ? result : null;
    });
    assert.match(
      table.stdout,
      /^NODE +ADDRESS +ROLE +HEALTH +TERM +COMMIT +APPLIED +LAG +SESSIONS +ERRORS\n/,
    );
    assert.equal(table.stdout.trim().split("\n").length, 4);
    const wide = await cluster.cli("status", "-o", "wide");
    assert.match(wide.stdout, /FSYNC p99 +LOOP p99 +SNAPSHOT +LEASE/);
    await cluster.undisturbed(async () => {
      const document = await documentOf("status");
      assert.equal(document.schemaVersion, 1);
      assert.equal(document.kind, "Status");
      assert.equal(document.items.filter((row) => row["role"] === "leader").length, 1);
    });
    // Anything that is committed between the two gives the second a later revision.
    await until("YAML and JSON say the same", 60_000, async () => {
      assert.deepEqual(parse((await cluster.cli("nodes", "-o", "yaml")).stdout), await documentOf("nodes"));
      return true;
    });
  });

  it("shows the nodes that were not named, too", async () => {
    const result = await run(["--endpoints", cluster.node("n2").grpc, "status", "-o", "json"]);
    assert.deepEqual(
      (JSON.parse(result.stdout) as Document).items.map((row) => row["node"]),
      ["n1", "n2", "n3"],
    );
  });

  it("members shows how far each is, whoever is asked", async () => {
    // On a busy machine the leader may take longer than it is waited for, or be another one meanwhile.
    await until("a follower shows the leader's view", 60_000, async () => {
      const follower = (await documentOf("status")).items.find((row) => row["role"] === "follower");
      if (follower === undefined) return false;
      const asked = ["--endpoints", String(follower["address"]), "members", "-o", "json"];
      const { stdout } = await run(asked);
      const rows = stdout === "" ? [] : (JSON.parse(stdout) as Document).items;
      const leading = rows.filter((row) => row["state"] === "leader");
      return leading.length === 1 && rows.every((row) => Number(row["match"]) > 0);
    });
  });

  it("a wrong word or flag is one line that ends with the page to read", async () => {
    const wrong: [string[], RegExp, string][] = [
      [["statsu"], /unknown command 'statsu' \(Did you mean status\?\)/, "holdfast --help"],
      [["sessions", "--bogus"], /unknown option '--bogus'/, "holdfast sessions --help"],
      [["leader", "move", "n1"], /too many arguments/, "holdfast leader move --help"],
      [["members", "add"], /required option '--id <number>'/, "holdfast members add --help"],
      [["status", "--endpoints", "127.0.0.1:99999"], /is not host:port/, "--endpoints host:port,host:port"],
      [["events", "--limit", "0"], /--limit 0 asks for nothing/, "--limit 100"],
    ];
    for (const [args, said, next] of wrong) {
      const { code, stderr } = await run(args);
      assert.equal(code, 2, args.join(" "));
      assert.match(stderr, /^holdfast: [^\n]+\n$/);
      assert.match(stderr, said);
      assert.ok(stderr.endsWith(`${next}\n`), stderr);
    }
  });

  it("a filter that names nothing is an error with the right names, not an empty list", async () => {
    for (const command of ["nodes", "sessions", "handles", "locks"]) {
      const { code, stderr } = await cluster.cli(command, "--node", "n9");
      assert.equal(code, 1, command);
      assert.match(stderr, /UNKNOWN_NODE: there is no node n9; known are n1, n2, n3/);
    }
    for (const command of ["handles", "locks"])
      assert.match(
        (await cluster.cli(command, "--share", "nope")).stderr,
        /UNKNOWN_SHARE: .*use one of: demo/,
      );
    assert.deepEqual((await documentOf("handles", "--share", "demo", "--path", "none")).items, []);
    const kinds = await cluster.cli("events", "--kind", "nope");
    assert.match(kinds.stderr, /no events of kind nope are kept/);
  });

  it("sessions, handles and locks show what a client holds", async () => {
    // A client that lost its owner in a stall is a moment behind the list.
    await until("the list shows the client's session", 60_000, async () => {
      const own = await ownRow();
      assert.equal(own["owner"], session.owner);
      assert.equal(own["state"], "connected");
      assert.equal(own["handles"], 1);
      return true;
    });
    const [handle] = (await documentOf("handles", "--session", String(session.id))).items;
    assert.equal(handle?.["file"], "demo:/open.txt");
    assert.equal(handle?.["kind"], "persistent");
    assert.equal(handle?.["locks"], 1);
    const [lock] = (await documentOf("locks")).items;
    assert.deepEqual(
      [lock?.["offset"], lock?.["length"], lock?.["exclusive"]],
      ["10", String(2n ** 63n), true],
    );
    const secret = JSON.stringify(await documentOf("sessions"));
    assert.ok(!/token/i.test(secret), "the resume token is the client's secret");
  });

  it("events end with the token from which to go on", async () => {
    const first = (await documentOf("events")) as Document & { resumeRevision: number };
    assert.ok(first.items.length > 0);
    const rest = (await documentOf("events", "--since", String(first.resumeRevision))) as Document;
    // A starved machine may elect meanwhile: that is new, and nothing else may be told.
    for (const row of rest.items)
      assert.ok(Number(row["revision"]) >= first.resumeRevision, JSON.stringify(row));
    const kinds = new Set(first.items.map((row) => row["kind"]));
    const [kind] = kinds;
    const some = await documentOf("events", "--kind", String(kind));
    assert.deepEqual([...new Set(some.items.map((row) => row["kind"]))], [kind]);
  });

  it("files: put, ls, stat, cat, get, mv, rm give back what was put in", async () => {
    const local = join(folder, "local");
    const text = "twelve bytes";
    writeFileSync(local, text);
    const ok = async (...args: string[]) => {
      const result = await cluster.cli("files", ...args);
      assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}`);
      assert.equal(result.stderr, "", "no talk, and no progress bar without a terminal");
      return result.stdout;
    };
    await ok("mkdir", "demo:/dir");
    await ok("put", local, "demo:/dir/");
    assert.match(await ok("ls", "demo:/dir"), /file +12 +\S+ +local/);
    assert.match(await ok("stat", "demo:/dir/local"), /file +12/);
    assert.equal(await ok("cat", "demo:/dir/local"), text);
    await ok("mv", "demo:/dir/local", "demo:/dir/renamed");
    await ok("get", "demo:/dir/renamed", join(folder, "back"));
    assert.equal(readFileSync(join(folder, "back"), "utf8"), text);
    await ok("rm", "demo:/dir/renamed");
    await ok("rm", "-d", "demo:/dir");
    assert.match(await ok("ls"), /demo:\//);
  });

  describe("on a terminal", function () {
    const HIDDEN = ["\u001b[?25l", "\u001b[?7l"];
    const SHOWN = ["\u001b[?25h", "\u001b[?7h"];
    /** Longer than anybody waits, and without any bytes on the disk. */
    const ENDLESS = 64 * 2 ** 30;

    before(function () {
      if (spawnSync("script", ["--version"]).status !== 0) this.skip();
    });

    /** Runs a command in a terminal of its own; Ctrl-C is pressed when `until` shows. */
    function onTerminal(args: readonly string[], until?: RegExp): Promise<Ended> {
      const words = [process.execPath, bin, "--endpoints", cluster.endpoints, ...args];
      const child = spawn("script", ["-qec", words.map((word) => `'${word}'`).join(" "), "/dev/null"], {
        stdio: ["pipe", "pipe", "pipe"],
        env: { ...process.env, TERM: "xterm" },
      });
      let seen = "";
      const watch = (part: Buffer) => {
        seen += part.toString();
        if (until === undefined || !until.test(seen)) return;
        child.stdout.off("data", watch);
        child.stdin.write("\u0003");
      };
      child.stdout.on("data", watch);
      return ended(child);
    }

    const givesBack = (text: string) => {
      for (const [i, shown] of SHOWN.entries())
        assert.ok(text.lastIndexOf(shown) > text.lastIndexOf(HIDDEN[i] as string), JSON.stringify(text));
    };
    const sparse = (file: string) => {
      writeFileSync(file, "");
      truncateSync(file, ENDLESS);
    };
    const ours = async () =>
      (await documentOf("sessions")).items.filter((row) => row["client"] !== "it-client");

    it("a transfer shows a bar, and nothing of it is left", async () => {
      const local = join(folder, "long");
      writeFileSync(local, Buffer.alloc(8 * 2 ** 20));
      const { code, stdout } = await onTerminal(["files", "put", local, "demo:/long"]);
      assert.equal(code, 0, stdout);
      assert.match(stdout, / of 8\.0 MiB /);
      givesBack(stdout);
      assert.match(stdout, /long -> demo:\/long  8\.0 MiB in [^\n]*\r?\n$/);
    });

    it("Ctrl-C ends a put and a get: terminal, session and the unfinished file are put right", async () => {
      const local = join(folder, "endless");
      sparse(local);
      sparse(join(cluster.share, "source"));
      for (const [args, told] of [
        [["put", local, "demo:/endless"], /demo:\/endless has only a part of [^\n]*\r?\ninterrupted/],
        [["get", "demo:/source", join(folder, "back-again")], /interrupted/],
      ] as const) {
        const { code, stdout } = await onTerminal(["files", ...args], /MiB of 64\.0 GiB/);
        assert.equal(code, 130, stdout);
        assert.match(stdout, told);
        givesBack(stdout);
        // Where nobody has time to close it, it is at least not connected any more.
        await until("nobody is connected", 60_000, async () =>
          (await ours()).every((row) => row["state"] !== "connected"),
        );
      }
      const left = readdirSync(folder).filter((name) => name.includes("back-again"));
      assert.deepEqual(left, []);
      rmSync(join(cluster.share, "endless"));
    });

    it("what fails before its first byte ends, too", async () => {
      const { code, stdout } = await onTerminal([
        "files",
        "get",
        "demo:/source",
        join(folder, "no", "folder"),
      ]);
      assert.equal(code, 2, stdout);
      assert.match(stdout, /cannot be written/);
    });
  });

  it("leaves no session behind", async () => {
    // One that had no time to be closed stays until its timeout of a minute.
    await until("only ours is left", 120_000, async () =>
      (await documentOf("sessions")).items.every((row) => row["client"] === "it-client"),
    );
  });

  it("exit code 1: it failed", async () => {
    const result = await cluster.cli("files", "cat", "demo:/nothing");
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /^holdfast: OBJECT_(NAME|PATH)_NOT_FOUND: /);
  });

  it("exit code 2: wrong usage", async () => {
    for (const args of [
      ["frob"],
      ["status", "-o", "xml"],
      ["files", "cat", "no-share"],
      ["events", "--since", "x"],
    ]) {
      assert.equal((await cluster.cli(...args)).code, 2, args.join(" "));
    }
  });

  it("what does not exist: exit code 1, its name, and where to look; what cannot be: 2", async () => {
    for (const [command, code, next] of NAMES_NOTHING) {
      const failure = await failureOf(cluster.endpoints, command);
      assert.deepEqual({ ...failure, message: "" }, { exit: 1, code, message: "", next }, command);
      assert.match(
        failure.message,
        new RegExp(`\\bno\\b.*${command.split(" ").at(-1)?.replace(":/", "")}`),
        command,
      );
    }
    for (const command of NO_SUCH_WORD)
      assert.equal((await failureOf(cluster.endpoints, command)).exit, 2, command);
    const told = await cluster.cli("failovers", "show", "999999");
    const line = "holdfast: UNKNOWN_FAILOVER: there is no failover 999999. Next: holdfast failovers\n";
    assert.deepEqual([told.code, told.stderr], [1, line]);
  });

  it("exit code 3: degraded, with a row for the node that does not answer", async () => {
    const [port] = await freePorts(1);
    const result = await run([
      "--endpoints",
      `${cluster.endpoints},127.0.0.1:${port}`,
      "status",
      "-o",
      "json",
    ]);
    assert.equal(result.code, 3, result.stderr);
    const row = (JSON.parse(result.stdout) as Document).items.find(
      (each) => each["address"] === `127.0.0.1:${port}`,
    );
    assert.equal(row?.["health"], "unreachable");
    assert.equal(row?.["error"], "connection refused");
  });

  it("exit code 4: nobody answers", async () => {
    const [port] = await freePorts(1);
    for (const command of ["status", "sessions"]) {
      const result = await run(["--endpoints", `127.0.0.1:${port}`, command]);
      assert.equal(result.code, 4, result.stderr);
      assert.match(result.stderr, command === "status" ? /^no node answers\. Next: / : /Next: /);
    }
  });

  it("exit code 6: already so", async () => {
    assert.equal((await cluster.cli("cordon", "n2", "--reason", "test")).code, 0);
    await cluster.undisturbed(async () =>
      assert.match((await cluster.cli("nodes")).stdout, /n2 +up,cordoned/),
    );
    assert.equal((await cluster.cli("cordon", "n2")).code, 6);
    assert.equal((await cluster.cli("uncordon", "n2")).code, 0);
    await cluster.undisturbed(async () =>
      assert.equal((await cluster.cli("leader", "move", "--to", await cluster.leader())).code, 6),
    );
  });

  it("leader move works through any endpoint and says who leads then", async () => {
    await cluster.undisturbed(async () => {
      const before = await cluster.leader();
      const to = cluster.nodes.find((node) => node.name !== before)?.name ?? "";
      const asked = cluster.nodes.find((node) => node.name !== before && node.name !== to)?.grpc ?? "";
      const result = await run(["--endpoints", asked, "leader", "move", "--to", to, "-o", "json"]);
      assert.equal(result.code, 0, result.stderr);
      const moved = JSON.parse(result.stdout) as { from: string; to: string };
      assert.deepEqual([moved.from, moved.to], [before, to]);
      assert.equal(await cluster.leader(), to);
    });
  });

  /** Moves the session by a plan, and is refused in every way in which it can be. */
  async function planned() {
    const from = String((await ownRow())["owner"]);
    const to = cluster.nodes.find((node) => node.name !== from)?.name ?? "";
    const args = ["transfer", "--session", String(session.id), "--to", to];
    const isFirst = (await documentOf("ops")).items.length === 0;
    const dry = await cluster.cli(...args, "--dry-run", "-o", "json");
    assert.equal(dry.code, 0, dry.stderr);
    const plan = JSON.parse(dry.stdout) as {
      hash: string;
      expectedFreezeMs: number | null;
      items: { from: string; to: string }[];
    };
    assert.deepEqual([plan.items[0]?.from, plan.items[0]?.to], [from, to]);
    if (isFirst) assert.equal(plan.expectedFreezeMs, null, "nothing was moved here yet");
    for (const wrong of [
      ["--apply-plan", "0000"],
      ["--expect-owner", to],
      ["--expect-epoch", "999"],
    ]) {
      assert.equal((await cluster.cli(...args, ...wrong)).code, 5, wrong.join(" "));
    }
    assert.equal((await cluster.cli(...args, "--force")).code, 2, "--force wants a reason");
    const done = await cluster.cli(...args, "--apply-plan", plan.hash, "-o", "json");
    assert.equal(done.code, 0, done.stderr);
    const operation = JSON.parse(done.stdout) as {
      state: string;
      operation: string;
      items: { state: string }[];
    };
    assert.deepEqual([operation.state, operation.items[0]?.state], ["done", "moved"]);
    await until("the client has come along", 20_000, () => session.owner === to);
    assert.equal((await cluster.cli(...args)).code, 6);
    return { args, to, operation };
  }

  it("transfer: plan, exit code 5 for a changed world, before and after, and 6 when it is already so", async () => {
    const { args, to, operation } = await cluster.undisturbed(planned);
    const shown = await cluster.cli("ops", "show", operation.operation.slice(0, 8), "-o", "json");
    assert.equal((JSON.parse(shown.stdout) as { state: string }).state, "done");
    assert.match((await cluster.cli("ops")).stdout, /transfer +done +1\/1/);
    const tooLate = await cluster.cli("ops", "cancel", operation.operation.slice(0, 8));
    assert.equal(tooLate.code, 6, tooLate.stderr);
    assert.match(tooLate.stderr, /is done already/);
    const expecting = await cluster.cli(...args, "--expect-owner", "n9", "--dry-run");
    assert.equal(expecting.code, 5, expecting.stderr);
    assert.match(expecting.stdout, /blocker: session \d+ is owned by n\d, not by n9/);
    const misspelt = await cluster.cli("transfer", "--share", "dmeo", "--to", to);
    assert.equal(misspelt.code, 1);
    assert.match(misspelt.stderr, /no node serves a share "dmeo"\. Next: use one of: demo/);
  });

  it("transfer --handle moves one handle, and its client goes on with both", () =>
    cluster.undisturbed(async () => {
      const mover = await connect({
        nodes: grpcs(),
        clientName: "it-mover",
        channels: 3,
        deadlineMs: 60_000,
      });
      try {
        const [stays, goes] = await Promise.all(
          ["stays", "goes"].map((name) => mover.open(`demo:/${name}`, { disposition: "overwrite-if" })),
        );
        assert(stays && goes);
        const text = (letter: string) => new TextEncoder().encode(letter);
        await Promise.all([stays.append(text("a")), goes.append(text("a"))]);
        await goes.lock({ offset: 100, length: 1 });
        const from = mover.owner;
        const to = cluster.nodes.find((node) => node.name !== from)?.name ?? "";
        const moved = await cluster.cli("transfer", "--handle", goes.id.slice(0, 12), "--to", to);
        assert.equal(moved.code, 0, moved.stderr);
        await Promise.all([stays.append(text("b")), goes.append(text("b"))]);
        assert.deepEqual([mover.owner, stays.owner, goes.owner], [from, from, to]);
        for (const name of ["stays", "goes"])
          assert.equal(readFileSync(join(cluster.share, name), "utf8"), "ab", name);
        const rows = (await documentOf("handles")).items;
        const row = rows.find((one) => one["handle"] === goes.id);
        assert.equal(row?.["owner"], to, JSON.stringify(row));
        const again = await cluster.cli("transfer", "--handle", goes.id, "--to", to);
        assert.equal(again.code, 6, again.stderr);
      } finally {
        await mover.close();
      }
    }));

  it("handles close takes a handle from its client, and its locks with it", async () => {
    const holder = await connect({ nodes: grpcs(), clientName: "it-holder", deadlineMs: 60_000 });
    try {
      const file = await holder.open("demo:/in-the-way", { disposition: "open-if" });
      await file.lock({ offset: 0, length: 1 });
      const done = await cluster.cli("handles", "close", file.id.slice(0, 12), "--reason", "stuck");
      assert.equal(done.code, 0, done.stderr);
      assert.match(done.stdout, new RegExp(`^${file.id} closed, of demo:/in-the-way$`, "m"));
      await assert.rejects(file.write(0, new Uint8Array(1)), { code: ErrorCode.FILE_CLOSED });
      const locks = (await documentOf("locks", "--share", "demo")).items;
      assert.ok(!locks.some((row) => row["handle"] === file.id), JSON.stringify(locks));
      const events = JSON.stringify((await documentOf("events")).items);
      assert.match(events, /closed by \S+: stuck/);
      const again = await cluster.cli("handles", "close", file.id);
      assert.equal(again.code, 6, again.stderr);
      const nobody = await cluster.cli("handles", "close", "ffffffffffff");
      assert.equal(nobody.code, 1, nobody.stderr);
      assert.match(nobody.stderr, /no handle begins with ffffffffffff/);
      const noId = await cluster.cli("handles", "close", "in-the-way");
      assert.equal(noId.code, 2, noId.stderr);
    } finally {
      await holder.close();
    }
  });

  it("drain empties a node and cordons it", () =>
    cluster.undisturbed(async () => {
      const node = String((await ownRow())["owner"]);
      const itself = await cluster.cli("drain", node, "--to", node);
      assert.equal(itself.code, 2, itself.stderr);
      const result = await cluster.cli("drain", node, "--reason", "test");
      try {
        assert.equal(result.code, 0, result.stderr);
        await until("the client has come along", 20_000, () => session.owner !== node);
        assert.equal((await documentOf("sessions", "--node", node)).items.length, 0);
      } finally {
        assert.equal((await cluster.cli("uncordon", node)).code, 0);
      }
    }));

  it("/metrics, /livez and /readyz answer on every node", async () => {
    for (const { http } of cluster.nodes) {
      const metrics = await (await fetch(`http://${http}/metrics`)).text();
      for (const name of [
        "fsync_ms_bucket",
        "event_loop_delay_ms_bucket",
        "raft_term",
        "sessions",
        "handles",
        "lease_left_ms",
      ]) {
        assert.match(metrics, new RegExp(`^holdfast_${name}[ {]`, "m"), name);
      }
      for (const [, name, help] of metrics.matchAll(/^# HELP holdfast_(\S+) (.*)$/gm))
        assert.ok(/^[A-Z0-9]/.test(help ?? ""), `${name} is not described: ${help}`);
      assert.equal((await fetch(`http://${http}/livez`)).status, 200);
      // On a busy machine the read may take longer than readiness waits for it.
      await until("a linearizable read", 60_000, async () =>
        /\[\+\]linearizable-read revision \d+/.test(
          await (await fetch(`http://${http}/readyz?verbose`)).text(),
        ),
      );
    }
  });
});
