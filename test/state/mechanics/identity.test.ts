import assert from "node:assert/strict";
import { lockIdentity, openIdentity } from "../../../src/state/mechanics/identity.js";
import { v1 } from "../../../src/wire/index.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const NONE = new Uint8Array(0);

/** As every member gets it: absent fields are absent, defaults that were sent are not. */
const decodedLock = (command: v1.ILock): v1.ILock => v1.Lock.decode(v1.Lock.encode(command).finish());
const decodedOpen = (command: v1.IOpenHandle): v1.IOpenHandle =>
  v1.OpenHandle.decode(v1.OpenHandle.encode(command).finish());

const LOCKS: readonly v1.ILock[] = [
  {},
  { handleId: bytes("0123456789abcdef"), elements: [{ offset: 3, length: 1, exclusive: true }] },
  {
    fence: { sessionId: 1, epoch: 2, node: "n1", nodeIncarnation: 3 },
    request: { slot: 3, sequence: 7 },
    handleId: bytes("0123456789abcdef"),
    sequenceIndex: 4,
    sequenceNumber: 15,
    channelSequence: 9,
    elements: [
      { offset: 0, length: 10, failImmediately: true },
      { offset: 0, length: 10, unlock: true },
    ],
  },
];

const OPENS: readonly v1.IOpenHandle[] = [
  {},
  {
    fence: { sessionId: 1, epoch: 2, node: "n1", nodeIncarnation: 3 },
    request: { slot: 0, sequence: 1 },
    handleId: bytes("0123456789abcdef"),
    share: "demo",
    path: "a/b",
    observed: { exists: true, fileId: "1:2", size: 5 },
    replay: true,
    channelSequence: 2,
    maximalAccess: 7,
    lease: { key: bytes("k"), parentKey: bytes("p"), state: 7 },
  },
];

describe("the identity of a call", () => {
  // Members of an older version compute it too, and stored digests of it outlive an upgrade.
  it("keeps its bytes for locks", () => {
    for (const given of LOCKS) {
      const command = decodedLock(given);
      const elements = (command.elements ?? []).map((element) => ({ ...element, failImmediately: false }));
      const expected = v1.Lock.encode({ ...command, elements, fence: null, channelSequence: 0 }).finish();
      assert.deepEqual(lockIdentity(command), expected);
      assert.deepEqual(command, decodedLock(given), "the command itself is not touched");
    }
  });

  it("keeps its bytes for opens", () => {
    for (const given of OPENS) {
      const command = decodedOpen(given);
      const { lease } = command;
      const expected = v1.OpenHandle.encode({
        ...command,
        fence: null,
        observed: null,
        handleId: NONE,
        replay: false,
        channelSequence: 0,
        maximalAccess: 0,
        lease: lease ? { key: lease.key ?? NONE, parentKey: lease.parentKey ?? NONE } : null,
      }).finish();
      assert.deepEqual(openIdentity(command), expected);
      assert.deepEqual(command, decodedOpen(given), "the command itself is not touched");
    }
  });
});
