import assert from "node:assert/strict";
import { memberOf } from "../../src/node/admin/member-request.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { limits } from "../../src/wire/limits.js";

const PRESENT = [
  { raftId: 1, name: "n1", grpcAddress: "10.0.0.1:7401", learner: false },
  { raftId: 3, name: "n3", grpcAddress: "10.0.0.3:7401", learner: true },
];
const NEW = { raftId: 4, name: "n4", grpcAddress: "10.0.0.4:7401", httpAddress: "10.0.0.4:7501" };

function refusal(asked: object): HoldfastError {
  try {
    memberOf("add-learner", { ...NEW, ...asked }, PRESENT);
  } catch (error) {
    return error as HoldfastError;
  }
  assert.fail(`${JSON.stringify(asked)} was taken`);
}

describe("a member to be added", () => {
  it("is taken as it is given", () => {
    assert.deepEqual(memberOf("add-learner", NEW, PRESENT), NEW);
    assert.doesNotThrow(() => memberOf("add-learner", { ...NEW, httpAddress: "" }, PRESENT));
    assert.doesNotThrow(() => memberOf("add-learner", { ...NEW, raftId: limits.raftIdMax }, PRESENT));
    assert.doesNotThrow(() => memberOf("add-learner", { ...NEW, name: "x".repeat(63) }, PRESENT));
  });

  // The change is counted by its id alone: what is let in here stays in the group, and is found out much later.
  for (const [what, asked, words] of [
    ["no name", { name: "" }, /name "" must be letters/],
    ["a name with a space", { name: "a b" }, /name "a b" must be letters/],
    ["a name of 64 letters", { name: "x".repeat(64) }, /at most 63/],
    ["an address without a port", { grpcAddress: "foo" }, /address "foo" is not host:port/],
    ["no address", { grpcAddress: "" }, /address "" is not host:port/],
    ["port 0", { grpcAddress: "10.0.0.4:0" }, /"10.0.0.4:0" is not host:port/],
    ["an HTTP address without a port", { httpAddress: "foo" }, /address "foo" is not host:port/],
    ["no id", { raftId: 0 }, /member id 0 is not from 1 to 4294967295/],
    ["an id that no wire has room for", { raftId: limits.raftIdMax + 1 }, /id 4294967296 is not from 1/],
    ["another member's id", { raftId: 3 }, /n3 is member 3; a new member needs a name and an id/],
    ["another member's name", { name: "n1" }, /n1 is member 1; a new member needs a name and an id/],
    ["another member's address", { grpcAddress: "10.0.0.1:7401" }, /n1 \(member 1\) has the address 10/],
  ] as const)
    it(`is refused with ${what}`, () => {
      const error = refusal(asked);
      assert.equal(error.code, ErrorCode.INVALID_ARGUMENT, error.message);
      assert.match(error.message, words);
      assert.ok(error.extras.next);
    });

  it("that is there already, just so, is no change: the command may be repeated", () => {
    const [n1] = PRESENT;
    assert.equal(refusal(n1 as object).code, ErrorCode.NO_CHANGE);
  });
});

describe("a member to be changed", () => {
  it("is the one in the state, by id or by name, whatever else the request says", () => {
    const [n1] = PRESENT;
    assert.deepEqual(memberOf("promote", { raftId: 1, name: "x", grpcAddress: "y" }, PRESENT), n1);
    assert.deepEqual(memberOf("remove", { name: "n1" }, PRESENT), n1);
    assert.deepEqual(
      memberOf("demote", { raftId: 9 }, PRESENT),
      { raftId: 9 },
      "left to whoever knows the group",
    );
  });
});
