import assert from "node:assert/strict";
import { Scene } from "./scene.js";

async function gives(scene: Scene, name: string, expected: string): Promise<void> {
  assert.equal(await scene.explain("node", name), expected.trim());
}

/** A client at n1. */
function withClient(nodes?: string[]) {
  const scene = new Scene(nodes === undefined ? {} : { nodes });
  const alice = scene.client("alice");
  scene.connect(alice);
  return { scene, alice };
}

const MAINTENANCE = { reason: "disk swap", requestedBy: "ops" };

describe("explain node", () => {
  it("up", async () => {
    await gives(
      new Scene(),
      "n2",
      `
3  node n2 is up, incarnation 1
Node n2, incarnation 1: up, with 0 sessions; it gets its share of new ones.
Next: nothing needs doing; holdfast nodes compares it with the others
`,
    );
  });

  it("down, because its lease lapsed", async () => {
    const { scene, alice } = withClient();
    scene.opened(alice);
    scene.ok({
      nodeDown: { node: "n1", incarnation: 1, cause: "lease lapsed", detectUs: 900_000, fenceUs: 100_000 },
    });
    await gives(
      scene,
      "n1",
      `
2  node n1 is up, incarnation 1
9  node n1 is down: lease lapsed
9  failover 1: 1 session with 1 handle to n2
Node n1, incarnation 1: down (lease lapsed); this incarnation will never serve again. What it owned went to n2, after 1 s to be sure of its death.
Next: holdfast node --config FILE on its host; it comes back as another incarnation
`,
    );
  });

  it("down, with sessions that nobody could take", async () => {
    const { scene } = withClient(["n1"]);
    scene.kill("n1");
    await gives(
      scene,
      "n1",
      `
2  node n1 is up, incarnation 1
5  node n1 is down: killed by the test
5  failover 1: 0 sessions with 0 handles to nobody
Node n1, incarnation 1: down (killed by the test); this incarnation will never serve again. No other node was up to take what it owned.
Next: start any node (holdfast node --config FILE): 1 session waiting for one
`,
    );
  });

  it("cordoned", async () => {
    const { scene } = withClient();
    scene.ok({ scheduleNode: { node: "n1", cordoned: true, ...MAINTENANCE } });
    await gives(
      scene,
      "n1",
      `
2  node n1 is up, incarnation 1
7  node n1 is cordoned by ops (disk swap)
Node n1, incarnation 1: up and cordoned (disk swap): it keeps its 1 session and gets no new ones.
Next: holdfast uncordon n1, or holdfast drain n1 --dry-run
`,
    );
  });

  it("draining", async () => {
    const { scene } = withClient();
    scene.ok({ scheduleNode: { node: "n1", cordoned: true, draining: true, ...MAINTENANCE } });
    await gives(
      scene,
      "n1",
      `
2  node n1 is up, incarnation 1
7  node n1 is draining by ops (disk swap)
Node n1, incarnation 1: up and draining (disk swap): it gets no new sessions and has 1 session left to move away.
Next: holdfast ops list; to go on with it: holdfast drain n1
`,
    );
  });

  it("drained", async () => {
    const scene = new Scene();
    scene.ok({ scheduleNode: { node: "n1", cordoned: true, draining: true, ...MAINTENANCE } });
    await gives(
      scene,
      "n1",
      `
2  node n1 is up, incarnation 1
5  node n1 is draining by ops (disk swap)
Node n1, incarnation 1: up and draining (disk swap): it gets no new sessions and has none left to move away.
Next: it may be stopped; to use it again: holdfast uncordon n1
`,
    );
  });

  it("busy with what it inherited", async () => {
    const { scene, alice } = withClient(["n1", "n2"]);
    scene.run(scene.openCommand(alice, { path: "new" }));
    scene.kill("n1");
    await gives(
      scene,
      "n2",
      `
3  node n2 is up, incarnation 1
Node n2, incarnation 1: up, with 1 session; 1 inherited session not ready yet, 1 effect to resolve.
Next: holdfast explain session 1
`,
    );
  });

  it("removed", async () => {
    const scene = new Scene();
    scene.kill("n3");
    scene.ok({ removeNode: { node: "n3" } });
    await gives(
      scene,
      "n3",
      `
4  node n3 is up, incarnation 1
5  node n3 is down: killed by the test
6  node n3 was removed
Node n3 was removed from the cluster.
Next: holdfast nodes
`,
    );
  });

  it("unknown: the error names those that are known", async () => {
    await assert.rejects(new Scene().explain("node", "x"), /there is no node x; known are n1, n2, n3/);
    await assert.rejects(
      new Scene().explain("node", "n"),
      /nodes that begin with n: n1, n2, n3; more of the id/,
    );
  });
});

describe("explain leader", () => {
  /** Three members that have names. */
  function group(): Scene {
    const scene = new Scene();
    for (const raftId of [1, 2, 3]) scene.ok({ setMember: { member: { raftId, name: `n${raftId}` } } });
    return scene;
  }
  const note = (revision: number, text: string) => ({ revision, clusterTimeMs: 1_000, text });

  it("none", async () => {
    const text = await group().explain("leader", "", {
      leaderId: 0,
      term: 5,
      notes: [note(10, "n2 leads in term 4"), note(12, "no leader is known here in term 5")],
    });
    assert.equal(
      text,
      `
10  n2 leads in term 4
12  no leader is known here in term 5
n1 knows of no leader in term 5: 2 of the voters n1, n2, n3 have to reach each other to elect one. Nothing can be changed until then.
Next: holdfast status shows who does not answer; start those (holdfast node --config FILE)
`.trim(),
    );
  });

  it("after a transfer", async () => {
    const text = await group().explain("leader", "", {
      term: 5,
      cause: "the leader before handed over",
      notes: [
        note(10, "asked to move the leadership to n1 (disk swap)"),
        note(10, "n1 leads in term 5: the leader before handed over"),
      ],
    });
    assert.equal(
      text,
      `
10  asked to move the leadership to n1 (disk swap)
10  n1 leads in term 5: the leader before handed over
n1 leads in term 5, as n1 sees it; 2 of its 3 voters are needed. Its election: the leader before handed over.
Next: nothing needs doing; to move it: holdfast leader move
`.trim(),
    );
  });

  it("as a follower sees it, with one voter too few to lose any", async () => {
    const text = await group().explain("leader", "", {
      self: 2,
      voters: [1, 2],
      notes: [note(3, "n1 leads in term 4")],
    });
    assert.equal(
      text,
      `
3  n1 leads in term 4
n1 leads in term 4, as n2 sees it; 2 of its 2 voters are needed.
Next: nothing needs doing; to move it: holdfast leader move
`.trim(),
    );
  });

  it("whose disk is full: what is refused, and the way out", async () => {
    const problems = ["the disk is nearly full"];
    const text = await group().explain("leader", "", { problems });
    assert.match(
      text,
      /n1 leads in term 4.* It is not well: the disk is nearly full\. Opens and locks are refused/,
    );
    assert.match(
      text,
      /Next: free space on its disk; meanwhile holdfast leader move --to NODE, to one with room$/,
    );
    // A follower's own disk says nothing about the leader's.
    assert.match(
      await group().explain("leader", "", { self: 2, problems }),
      /needed\.\nNext: nothing needs doing/,
    );
  });

  it("elected and not ready yet", async () => {
    const text = await group().explain("leader", "", {
      ready: false,
      cause: "no sign of a leader within the election timeout",
    });
    assert.equal(
      text,
      `
n1 leads in term 4, as n1 sees it; 2 of its 3 voters are needed. Its election: no sign of a leader within the election timeout. It has not committed an entry of its term yet, so it does not answer reads.
Next: holdfast status shows which voters do not answer
`.trim(),
    );
  });
});
