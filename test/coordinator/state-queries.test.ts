import assert from "node:assert/strict";
import { answerQuery } from "../../src/coordinator/state-queries.js";
import { createStateMachine } from "../../src/state/index.js";
import { v1 } from "../../src/wire/index.js";

const node = (name: string, incarnation: number): v1.ICommand => ({
  registerNode: { node: { name, incarnation, grpcAddress: `${name}:1`, shares: ["demo"] } },
});

/** Two nodes, and a session that the first one owns with an effect under way. */
function begun() {
  const machine = createStateMachine();
  let index = 0;
  const apply = (command: v1.ICommand): v1.ICommandResult => {
    const { result } = machine.apply(command, { index: ++index, clusterTimeMs: index });
    assert.equal(result.error ?? null, null, JSON.stringify(result.error));
    return result;
  };
  apply({
    initCluster: {
      clusterId: "test",
      formatVersion: 1,
      members: [{ raftId: 1, name: "n1", incarnation: 1 }],
      shares: [{ name: "demo", continuouslyAvailable: true }],
    },
  });
  apply(node("n1", 1));
  apply(node("n2", 1));
  const opened = apply({
    openSession: {
      clientGuid: new Uint8Array(16).fill(1),
      principal: "tester",
      clientName: "test",
      timeoutMs: 60_000,
      node: "n1",
      nodeIncarnation: 1,
      resumeToken: new Uint8Array(16).fill(2),
    },
  });
  const sessionId = opened.session?.id ?? 0;
  apply({
    beginEffect: {
      fence: { sessionId, epoch: 1, node: "n1", nodeIncarnation: 1 },
      request: { slot: 0, sequence: 1 },
      effect: { kind: v1.EffectKind.EFFECT_MKDIR, sessionId, share: "demo", path: "folder", directory: true },
    },
  });
  const ask = (query: v1.IStateQuery): v1.IStateAnswer => answerQuery(query, machine, index);
  return { apply, ask, sessionId };
}

describe("answers to queries of the state", () => {
  const queries: readonly (readonly [string, (sessionId: number) => v1.IStateQuery])[] = [
    ["what a node owns", () => ({ owned: { node: "n1", incarnation: 1 } })],
    ["a session", (sessionId) => ({ sessionId })],
    ["all effects", () => ({ effects: {} })],
    ["the nodes", () => ({ nodes: {} })],
    ["the cluster", () => ({ cluster: {} })],
  ];
  for (const [name, query] of queries)
    it(`do not change with the state: ${name}`, () => {
      const { apply, ask, sessionId } = begun();
      const answer = ask(query(sessionId));
      const before = JSON.stringify(answer);
      apply({ nodeDown: { node: "n1", incarnation: 1, cause: "test" } });
      assert.notEqual(JSON.stringify(ask(query(sessionId))), before, "the death of its node changes it");
      assert.equal(JSON.stringify(answer), before);
    });

  it("a file server that is not ours sees under its key what was announced there, and of what it owns only its own", () => {
    const { apply, ask } = begun();
    const server = (name: string, incarnation: number): v1.ICommand => ({
      registerNode: { node: { name, incarnation, foreign: true } },
    });
    const announce = (key: string, name: string): void => {
      const me = { node: name, nodeIncarnation: 1 };
      apply({ claimKey: { key, ...me } });
      const effect = { kind: v1.EffectKind.EFFECT_FOREIGN, key };
      apply({ beginEffect: { fence: { ...me, epoch: 1 }, effect } });
    };
    apply(server("s1", 1));
    apply(server("s2", 1));
    announce("k1", "s1");
    announce("k2", "s2");
    const keysOf = (answer: v1.IStateAnswer) => [answer.effects, answer.keys].map((rows) => rows?.map(keyOf));
    assert.deepEqual(keysOf(ask({ key: "k1" })), [["k1"], ["k1"]]);
    assert.deepEqual(keysOf(ask({ owned: { node: "s2", incarnation: 1 } })), [["k2"], ["k2"]]);
    assert.deepEqual(keysOf(ask({ owned: { node: "s2", incarnation: 2 } })), [[], []], "of another process");
    assert.equal(v1.ErrorCode[ask({ key: "k3" }).error?.code ?? 0], "UNKNOWN_KEY");
  });
});

function keyOf(row: { readonly key?: string | null }): string {
  return row.key ?? "";
}
