import assert from "node:assert/strict";
import { gate } from "../../src/coordinator/command-gate.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";

const fence = { sessionId: 1, epoch: 1, node: "n1", nodeIncarnation: 1 };
const guid = new Uint8Array(16);
const storeKey = { key: "k", node: "n1", nodeIncarnation: 1, epoch: 1, state: new Uint8Array(10) };

describe("command gate", () => {
  it("lets through what file servers may ask for, as objects and as decoded messages", () => {
    const good: v1.ICommand[] = [
      { storeKey },
      { claimKey: { key: "k", node: "n1", nodeIncarnation: 1 } },
      { openHandle: { fence, share: "demo", path: "a/b", createGuid: guid } },
      { lock: { fence, handleId: guid, elements: [{ offset: 0, length: 1 }] } },
      { registerNode: { node: { name: "n1", incarnation: 1 } } },
      { nodeDown: { node: "n1", incarnation: 1, cause: "orderly stop" } },
      { batch: { commands: [{ storeKey }, { storeKey }] } },
    ];
    for (const command of good) {
      assert.equal(gate(command), null);
      assert.equal(gate(v1.Command.decode(v1.Command.encode(command).finish())), null);
    }
  });

  it("refuses what belongs to the cluster or to operators", () => {
    const closed: v1.ICommand[] = [
      { initCluster: {} },
      { setMember: {} },
      { advanceTime: {} },
      { expireSession: {} },
      { expireHandle: {} },
      { expireKey: {} },
      { expireBreak: {} },
      { scheduleNode: {} },
      { removeNode: {} },
      { defineShare: {} },
      { forceClose: {} },
      { beginOperation: {} },
      { endOperation: {} },
      { noteFailover: {} },
      { batch: { commands: [{ advanceTime: {} }] } },
    ];
    for (const command of closed)
      assert.equal(gate(command)?.code, ErrorCode.PERMISSION_DENIED, JSON.stringify(command));
    assert.equal(
      gate({ nodeDown: { node: "n2", incarnation: 1, cause: "lease lapsed" } })?.code,
      ErrorCode.INVALID_ARGUMENT,
    );
    assert.equal(gate({ moveSession: { fence, to: "n2", forced: true } })?.code, ErrorCode.INVALID_ARGUMENT);
  });

  it("holds every field to its limit, at the edge", () => {
    const ok = (command: v1.ICommand): void => assert.equal(gate(command), null);
    const bad = (command: v1.ICommand, what: RegExp): void => {
      const problem = gate(command);
      assert.equal(problem?.code, ErrorCode.INVALID_ARGUMENT);
      assert.match(problem?.message ?? "", what);
    };
    ok({ storeKey: { ...storeKey, key: "k".repeat(limits.keyBytesMax) } });
    bad(
      { storeKey: { ...storeKey, key: "k".repeat(limits.keyBytesMax + 1) } },
      /key has more than 512 bytes/,
    );
    bad({ storeKey: { ...storeKey, key: "ä".repeat(limits.keyBytesMax / 2 + 1) } }, /key has more than/);
    bad({ storeKey: { ...storeKey, key: "" } }, /key is missing/);
    const effect = { kind: v1.EffectKind.EFFECT_FOREIGN, key: "k" };
    ok({ beginEffect: { effect: { ...effect, description: new Uint8Array(limits.keyStateBytesMax) } } });
    bad(
      { beginEffect: { effect: { ...effect, description: new Uint8Array(limits.keyStateBytesMax + 1) } } },
      /description has/,
    );
    bad({ beginEffect: { effect: { ...effect, key: "k".repeat(limits.keyBytesMax + 1) } } }, /key has more/);
    const claimKey = { key: "k", node: "n1", nodeIncarnation: 1 };
    bad({ claimKey: { ...claimKey, state: new Uint8Array(limits.keyStateBytesMax + 1) } }, /state has/);
    bad({ storeKey: { ...storeKey, key: "a\0b" } }, /NUL/);
    ok({ storeKey: { ...storeKey, state: new Uint8Array(limits.keyStateBytesMax) } });
    bad(
      { storeKey: { ...storeKey, state: new Uint8Array(limits.keyStateBytesMax + 1) } },
      /state has 65537 bytes/,
    );
    bad({ closeHandle: { fence, handleId: new Uint8Array(15) } }, /handleId must have 16 bytes, but has 15/);
    bad({ closeHandle: { handleId: guid } }, /fence is missing/);
    bad(
      { closeHandle: { fence, handleId: guid, request: { slot: limits.slotsPerSession, sequence: 1 } } },
      /slot 64/,
    );
    bad({ lock: { fence, handleId: guid, elements: [] } }, /elements must hold 1 to 64/);
    bad({ batch: { commands: [] } }, /1 to 256/);
    bad({ batch: { commands: [{ batch: { commands: [{ storeKey }] } }] } }, /command 0 of the batch/);
    bad({}, /no body/);
    bad({ storeKey: { ...storeKey, epoch: (2n ** 60n) as unknown as number } }, /epoch is above 2\^53-1/);
  });
});
