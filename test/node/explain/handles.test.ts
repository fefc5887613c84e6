import assert from "node:assert/strict";
import { ErrorCode, HoldfastError } from "../../../src/wire/errors.js";
import type { v1 } from "../../../src/wire/index.js";
import { guid, RWH } from "../../state/harness.js";
import { Scene } from "./scene.js";

const hex = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString("hex");

/** One client, connected at n1, with a handle. */
function begin(nodes: string[] = ["n1", "n2", "n3"], share = "ca") {
  const scene = new Scene({ nodes });
  const alice = scene.client("alice");
  scene.connect(alice);
  const handle = scene.opened(alice, { id: "ha", share });
  return { scene, alice, handle };
}

async function gives(scene: Scene, handle: v1.IHandleRecord, expected: string): Promise<void> {
  assert.equal(await scene.explain("handle", hex(handle.id)), expected.trim());
}

describe("explain handle", () => {
  it("in use, with a lock", async () => {
    const { scene, alice, handle } = begin();
    scene.lock(alice, handle, 0, 10);
    await gives(
      scene,
      handle,
      `
8  ca:file opened
8  effect 1 on ca:file: done
Handle 68612e2e2e2e on ca:/file, session 1 of client alice, at n1: it is open and in use (persistent, 1 byte-range lock).
Next: nothing needs doing; to move it: holdfast transfer --handle 68612e2e2e2e --dry-run
`,
    );
  });

  it("kept for a client that is away", async () => {
    const { scene, alice, handle } = begin();
    scene.disconnect(alice);
    scene.pass(5_000);
    await gives(
      scene,
      handle,
      `
8  ca:file opened
8  effect 1 on ca:file: done
9  session 1 lost its client
Handle 68612e2e2e2e on ca:/file, session 1 of client alice, at n1: it is open, but its client has not resumed it (persistent, 0 byte-range locks); it has 55 s left for that. Until then conflicting opens of the file are refused or wait.
Next: holdfast explain session 1
`,
    );
  });

  it("not resumed yet after a takeover", async () => {
    const { scene, alice, handle } = begin(["n1", "n2"]);
    scene.kill("n1");
    scene.connect(alice);
    await gives(
      scene,
      handle,
      `
7  ca:file opened
7  effect 1 on ca:file: done
8  node n1 is down: killed by the test
8  session 1 moved from n1 to n2: n1 is down (epoch 2)
9  session 1 connected at n2
Handle 68612e2e2e2e on ca:/file, session 1 of client alice, at n2: it is open, but its client has not resumed it (persistent, 0 byte-range locks); it has 60 s left for that. Until then conflicting opens of the file are refused or wait.
Next: holdfast explain session 1
`,
    );
  });

  it("parked on somebody's lease, by a beginning of its id", async () => {
    const scene = new Scene();
    scene.file("file");
    const alice = scene.client("alice");
    scene.connect(alice);
    scene.opened(alice, { leaseKey: "k", lease: RWH, id: "ha" });
    const bob = scene.client("bob");
    scene.connect(bob);
    scene.open(bob, { id: "hb" });
    assert.equal(
      await scene.explain("handle", hex(guid("hb")).slice(0, 8)),
      `
8  session 2 opened at n1
9  session 2 connected at n1
10  call 1 is parked: it waits for lease 6b2e2e2e2e2e2e2e
10  its holder is told: lease 6b2e2e2e2e2e2e2e on ca:file: RWH to RH
Handle 68622e2e2e2e on ca:/file, session 2 of client bob, at n1: its open waits for lease 6b2e2e2e2e2e2e2e. Its holder, client alice, has to acknowledge within 60 s, or the lease is taken from it; then the open goes on by itself.
Next: holdfast explain handle 68612e2e2e2e
`.trim(),
    );
  });

  it("frozen with its session", async () => {
    const { scene, alice, handle } = begin();
    scene.beginTransfer(alice.sessionId, "n2");
    await gives(
      scene,
      handle,
      `
8  ca:file opened
8  effect 1 on ca:file: done
9  transfer op-1 began, asked for by ops (disk swap)
10  session 1 is frozen by operation op-1
Handle 68612e2e2e2e on ca:/file, session 1 of client alice, at n1: it is open (persistent, 0 byte-range locks). About its session: It is frozen by operation op-1, which is moving it: calls wait.
Next: holdfast ops wait op-1
`,
    );
  });

  it("being created", async () => {
    const scene = new Scene();
    const alice = scene.client("alice");
    scene.connect(alice);
    scene.run(scene.openCommand(alice, { path: "new", id: "ha" }));
    assert.equal(
      await scene.explain("handle", hex(guid("ha"))),
      `
5  session 1 opened at n1
6  session 1 connected at n1
7  effect 1 was announced and its outcome is not recorded: create ca:/new, at n1
Handle 68612e2e2e2e on ca:/new, session 1 of client alice, at n1: its create waits for its effect on the file system.
Next: holdfast explain session 1
`.trim(),
    );
  });

  it("closed, and still answerable", async () => {
    const { scene, alice, handle } = begin();
    scene.close(alice, handle);
    await gives(
      scene,
      handle,
      `
8  ca:file opened
8  effect 1 on ca:file: done
9  ca:file closed
Handle 68612e2e2e2e on ca:/file, session 1 of client alice, at n1: it is closed (its client closed it); what is left is a tombstone that answers a repeated close or create. It holds no lock, no lease and no share mode.
Next: nothing needs doing; who has the file now: holdfast handles --share ca --path file
`,
    );
  });

  it("closed by an operator", async () => {
    const { scene, handle } = begin();
    scene.ok({ forceClose: { handleId: handle.id ?? null, reason: "stuck backup", requestedBy: "ops" } });
    await gives(
      scene,
      handle,
      `
8  ca:file opened
8  effect 1 on ca:file: done
9  ca:file: closed by ops: stuck backup
Handle 68612e2e2e2e on ca:/file, session 1 of client alice, at n1: it is closed (closed by ops: stuck backup); what is left is a tombstone that answers a repeated close or create. It holds no lock, no lease and no share mode.
Next: nothing needs doing; who has the file now: holdfast handles --share ca --path file
`,
    );
  });

  it("gone with its session", async () => {
    const { scene, alice, handle } = begin();
    scene.disconnect(alice);
    scene.pass(61_000);
    await gives(
      scene,
      handle,
      `
8  ca:file opened
8  effect 1 on ca:file: done
11  ca:file: its client did not come back in time
11  session 1 expired
Handle 68612e2e2e2e is gone: ca:file: its client did not come back in time.
Next: holdfast explain session 1
`,
    );
  });

  it("moved alone to another node: a session of its own, which its client has to resume", async () => {
    const { scene, alice, handle } = begin(undefined, "so");
    const moved = scene.ok({
      moveSession: { fence: scene.fence(alice), to: "n3", handleId: handle.id ?? null },
    });
    const chain = `
8  so:file opened
8  effect 1 on so:file: done
9  handle 68612e2e2e2e2e2e moved from n1 to n3, as session 2
9  session 2 was derived from session 1 with one handle: operation without id (epoch 2)
`;
    await gives(
      scene,
      handle,
      `${chain}Handle 68612e2e2e2e on so:/file, session 2 of client alice, at n3, moved there alone from session 1: it is open, but its client has not resumed it (persistent, 0 byte-range locks); it has 60 s left for that. Until then conflicting opens of the file are refused or wait.
Next: holdfast explain session 2
`,
    );
    const there = { ...alice, sessionId: moved.session?.id ?? 0 };
    scene.connect(there, "n3");
    scene.reconnect(there, handle);
    const back = await scene.explain("handle", Buffer.from(handle.id ?? []).toString("hex"));
    assert.match(back, /moved there alone from session 1: it is open and in use \(persistent/);
    assert.match(back, /to move it: holdfast transfer --handle 68612e2e2e2e --dry-run$/);
  });

  it("an ambiguous beginning names the candidates, an unknown one the next step", async () => {
    const { scene, alice } = begin();
    scene.opened(alice, { id: "hb" });
    await assert.rejects(
      scene.explain("handle", "68"),
      /begin with 68: 68612e2e\w+, 68622e2e\w+; more of the id/,
    );
    await assert.rejects(scene.explain("handle", "zz"), /"zz" is no handle id/);
    for (const id of ["77", "7".repeat(32)])
      await assert.rejects(scene.explain("handle", id), (error) => {
        assert(error instanceof HoldfastError);
        assert.equal(error.code, ErrorCode.UNKNOWN_HANDLE);
        assert.equal(error.extras.next, "holdfast handles --all");
        return true;
      });
  });
});
