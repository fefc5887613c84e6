import assert from "node:assert/strict";
import { ErrorCode, HoldfastError } from "../../../src/wire/errors.js";
import { Scene } from "./scene.js";

/** One client, connected at n1, in a cluster of these nodes. */
function begin(nodes: string[] = ["n1", "n2", "n3"]) {
  const scene = new Scene({ nodes });
  const alice = scene.client("alice");
  scene.connect(alice);
  return { scene, alice, id: alice.sessionId };
}

async function gives(scene: Scene, id: number, expected: string): Promise<void> {
  assert.equal(await scene.explain("session", id), expected.trim());
}

describe("explain session", () => {
  it("at its owner since it was opened", async () => {
    const { scene, id } = begin();
    await gives(
      scene,
      id,
      `
5  session 1 opened at n1
6  session 1 connected at n1
Session 1 of client alice is owned by n1 at epoch 1, with 0 handles. Its client is connected.
Next: nothing needs doing; to move it: holdfast transfer --session 1 --dry-run
`,
    );
  });

  it("moved because its owner died", async () => {
    const { scene, alice, id } = begin(["n1", "n2"]);
    scene.opened(alice);
    scene.kill("n1");
    await gives(
      scene,
      id,
      `
4  session 1 opened at n1
5  session 1 connected at n1
8  node n1 is down: killed by the test
8  session 1 moved from n1 to n2: n1 is down (epoch 2)
Session 1 of client alice is owned by n2 at epoch 2, where it came from n1, with 1 handle. Its client is away and has 60 s left to come back; until then its persistent handles are kept for it.
Next: holdfast handles --session 1
`,
    );
  });

  it("at the same node, which has started again", async () => {
    const { scene, alice, id } = begin();
    scene.register("n1", 2);
    scene.connect(alice);
    await gives(
      scene,
      id,
      `
5  session 1 opened at n1
6  session 1 connected at n1
7  node n1 is up, incarnation 2
7  session 1 moved from n1 to n1: n1 started again (epoch 2)
8  session 1 connected at n1
Session 1 of client alice is owned by n1 at epoch 2, with 0 handles. Its client is connected.
Next: nothing needs doing; to move it: holdfast transfer --session 1 --dry-run
`,
    );
  });

  it("frozen by a transfer", async () => {
    const { scene, id } = begin();
    scene.beginTransfer(id, "n2");
    await gives(
      scene,
      id,
      `
5  session 1 opened at n1
6  session 1 connected at n1
7  transfer op-1 began, asked for by ops (disk swap)
8  session 1 is frozen by operation op-1
Session 1 of client alice is owned by n1 at epoch 1, with 0 handles. It is frozen by operation op-1, which is moving it: calls wait.
Next: holdfast ops wait op-1
`,
    );
  });

  it("moved by a transfer", async () => {
    const { scene, alice, id } = begin();
    scene.beginTransfer(id, "n2");
    scene.finishTransfer(id, "n2");
    scene.connect(alice);
    await gives(
      scene,
      id,
      `
5  session 1 opened at n1
6  session 1 connected at n1
7  transfer op-1 began, asked for by ops (disk swap)
8  session 1 is frozen by operation op-1
9  session 1 moved from n1 to n2: operation op-1 (epoch 2)
10  transfer op-1 done
11  session 1 connected at n2
Session 1 of client alice is owned by n2 at epoch 2, where it came from n1, with 0 handles. Its client is connected.
Next: nothing needs doing; to move it: holdfast transfer --session 1 --dry-run
`,
    );
  });

  it("taken along by its client", async () => {
    const { scene, alice, id } = begin();
    scene.disconnect(alice);
    scene.connect(alice, "n3");
    await gives(
      scene,
      id,
      `
5  session 1 opened at n1
6  session 1 connected at n1
7  session 1 lost its client
8  session 1 moved from n1 to n3: its client went there (epoch 2)
8  session 1 connected at n3
Session 1 of client alice is owned by n3 at epoch 2, where it came from n1, with 0 handles. Its client is connected.
Next: nothing needs doing; to move it: holdfast transfer --session 1 --dry-run
`,
    );
  });

  it("without its client, until a deadline", async () => {
    const { scene, alice, id } = begin();
    scene.disconnect(alice);
    scene.pass(18_000);
    await gives(
      scene,
      id,
      `
5  session 1 opened at n1
6  session 1 connected at n1
7  session 1 lost its client
Session 1 of client alice is owned by n1 at epoch 1, with 0 handles. Its client is away and has 42 s left to come back; until then its persistent handles are kept for it.
Next: holdfast handles --session 1
`,
    );
  });

  it("expired", async () => {
    const { scene, alice, id } = begin();
    scene.disconnect(alice);
    scene.pass(61_000);
    await gives(
      scene,
      id,
      `
5  session 1 opened at n1
6  session 1 connected at n1
7  session 1 lost its client
9  session 1 expired
Session 1 is gone since revision 9: session 1 expired. Its handles went with it; its client has to connect anew.
Next: holdfast sessions
`,
    );
  });

  it("with inherited effects to resolve", async () => {
    const { scene, alice, id } = begin(["n1", "n2"]);
    scene.run(scene.openCommand(alice, { path: "new" }));
    scene.kill("n1");
    await gives(
      scene,
      id,
      `
4  session 1 opened at n1
5  session 1 connected at n1
6  effect 1 was announced and its outcome is not recorded: create ca:/new, at n2
7  node n1 is down: killed by the test
7  session 1 moved from n1 to n2: n1 is down (epoch 2)
Session 1 of client alice is owned by n2 at epoch 2, where it came from n1, with 1 handle. n2 first resolves 1 inherited effect; until then calls that change something are answered NOT_READY.
Next: holdfast explain node n2
`,
    );
  });

  it("replaced by another of the same client", async () => {
    const { scene, alice, id } = begin();
    scene.opened(alice);
    scene.client("alice", "n2", { previousSessionId: id });
    await gives(
      scene,
      id,
      `
5  session 1 opened at n1
6  session 1 connected at n1
9  session 1 was replaced by session 2
Session 1 of client alice is owned by n1 at epoch 1, with 1 handle. Session 2 of the same client replaced it; its handles wait 60 s more to be resumed from there.
Next: holdfast explain session 2
`,
    );
  });

  it("at a dead node, because none was left", async () => {
    const { scene, id } = begin(["n1"]);
    scene.kill("n1");
    await gives(
      scene,
      id,
      `
3  session 1 opened at n1
4  session 1 connected at n1
5  node n1 is down: killed by the test
Session 1 of client alice is owned by n1 at epoch 1, with 0 handles. Its owner is down and no other node could take it: whichever node starts next does.
Next: start a node (holdfast node --config FILE), then holdfast nodes
`,
    );
  });

  it("where the events are no longer kept: what the records say", async () => {
    const { scene, alice, id } = begin(["n1", "n2"]);
    scene.opened(alice);
    scene.kill("n1");
    scene.kept = [];
    await gives(
      scene,
      id,
      `
0  session 1 was opened; the events from then on are not all kept here
8  failover 1 from n1: killed by the test
8  its latest change: owned by n2 at epoch 2, before at n1
Session 1 of client alice is owned by n2 at epoch 2, where it came from n1, with 1 handle. Its client is away and has 60 s left to come back; until then its persistent handles are kept for it.
Next: holdfast handles --session 1
`,
    );
  });

  it("with a long history: its beginning, its end, and how much is left out", async () => {
    const { scene, alice, id } = begin();
    for (let i = 0; i < 30; i++) {
      scene.disconnect(alice);
      scene.connect(alice);
    }
    const lines = (await scene.explain("session", id)).split("\n");
    assert.equal(lines.length, 40 + 2);
    assert.equal(lines[0], "5  session 1 opened at n1");
    assert.equal(lines[1], "28  ... 23 steps up to here are left out: holdfast events");
    assert.equal(lines[2], "29  session 1 lost its client");
    assert.equal(lines[39], "66  session 1 connected at n1");
  });

  it("that never was: an error with the next step", async () => {
    await assert.rejects(begin().scene.explain("session", 77), (error) => {
      assert(error instanceof HoldfastError);
      assert.equal(error.code, ErrorCode.UNKNOWN_SESSION);
      assert.equal(error.message, "there is no session 77, and no event of it is kept here");
      assert.equal(error.extras.next, "holdfast sessions");
      return true;
    });
  });

  it("by a unique beginning of its id; an ambiguous one names the candidates", async () => {
    const { scene } = begin();
    for (let i = 2; i <= 21; i++) scene.client(`c${i}`);
    assert.match(await scene.explain("session", "2"), /Session 2 of client c2 /);
    for (let i = 2; i <= 2; i++)
      scene.ok({ closeSession: { fence: { sessionId: 2, epoch: 1, node: "n1", nodeIncarnation: 1 } } });
    await assert.rejects(
      scene.explain("session", "2"),
      /sessions that begin with 2: 20, 21; more of the id is needed/,
    );
    await assert.rejects(scene.explain("session", "x"), /"x" is no session id/);
  });
});
