import assert from "node:assert/strict";
import {
  makeHello,
  makeWelcome,
  refuseHello,
  refuseWelcome,
  type SelfIdentity,
} from "../../src/transport/handshake.js";
import { PROTOCOL_VERSION } from "../../src/transport/options.js";

const ME: SelfIdentity = { clusterId: "c1", raftId: 2, incarnation: 3, name: "n2", diskId: "d2" };
const PEER: SelfIdentity = { clusterId: "c1", raftId: 1, incarnation: 1, name: "n1", diskId: "d1" };
const welcome = () => null;
const proven = () => null;

describe("peer handshake", () => {
  const hello = makeHello(PEER, 2, 3);

  it("lets a matching peer in, also one that does not know the incarnation yet", () => {
    assert.equal(refuseHello(hello, ME, welcome, proven), null);
    assert.equal(refuseHello(makeHello(PEER, 2, 0), ME, welcome, proven), null);
    assert.equal(refuseWelcome(makeWelcome(ME), 2, welcome), null);
  });

  for (const [what, change, code, words] of [
    [
      "another protocol",
      { protocolVersion: PROTOCOL_VERSION + 1 },
      "UNSUPPORTED_VERSION",
      /protocol 2, this node speaks 1/,
    ],
    ["another cluster", { clusterId: "c2" }, "WRONG_CLUSTER", /"c2".*"c1"/],
    ["another member", { to: 9 }, "UNKNOWN_MEMBER", /member 9.*member 2/],
    [
      "another incarnation",
      { toIncarnation: 2 },
      "PRECONDITION_FAILED",
      /incarnation 2 of member 2, this is 3/,
    ],
    ["the own id", { from: 2 }, "INVALID_ARGUMENT", /cannot be member 2/],
    ["no id", { from: 0 }, "INVALID_ARGUMENT", /cannot be member 0/],
    ["no incarnation", { fromIncarnation: 0 }, "INVALID_ARGUMENT", /which disk/],
    ["no disk", { fromDisk: "" }, "INVALID_ARGUMENT", /which disk/],
    ["an endless disk id", { fromDisk: "x".repeat(65) }, "INVALID_ARGUMENT", /which disk/],
  ] as const)
    it(`refuses ${what}`, () => {
      const refusal = refuseHello({ ...hello, ...change }, ME, welcome, proven);
      assert.equal(refusal?.codeName, code);
      assert.match(refusal?.message ?? "", words);
      assert(refusal?.extras.next, "says what to do next");
    });

  it("refuses a first frame that is no hello", () => {
    assert.equal(refuseHello(undefined, ME, welcome, proven)?.codeName, "INVALID_ARGUMENT");
  });

  it("refuses a peer that cannot prove its name, before its disk is remembered", () => {
    let asked = 0;
    const admit = () => {
      asked++;
      return null;
    };
    const refusal = refuseHello(
      hello,
      ME,
      admit,
      (raftId, name) => `certificate of n9, not ${raftId} ${name}`,
    );
    assert.equal(refusal?.codeName, "ACCESS_DENIED");
    assert.match(refusal?.message ?? "", /n9, not 1 n1/);
    assert.equal(asked, 0);
  });

  it("asks the storage about the disk only when everything else fits", () => {
    const asked: unknown[] = [];
    const admit = (said: unknown) => {
      asked.push(said);
      return "wiped";
    };
    refuseHello({ ...hello, clusterId: "c2" }, ME, admit, proven);
    assert.deepEqual(asked, []);
    assert.match(refuseHello(hello, ME, admit, proven)?.message ?? "", /wiped/);
    assert.deepEqual(asked, [{ raftId: 1, incarnation: 1, diskId: "d1" }]);
    assert.match(refuseWelcome(makeWelcome(ME), 2, admit)?.message ?? "", /wiped/);
    assert.match(
      refuseWelcome(makeWelcome(ME), 3, welcome)?.message ?? "",
      /member 2 answers at the address of member 3/,
    );
  });
});
