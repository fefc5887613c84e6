import assert from "node:assert/strict";
import { leaseDefaults, leaseOptions } from "../../src/filenode/lease-options.js";
import { LeaseTerm } from "../../src/filenode/lease-term.js";

describe("settings of the node lease", () => {
  it("are accepted as they come by default", () => {
    assert.deepEqual(leaseOptions({}), leaseDefaults);
  });

  it("are refused without a margin, at the edge", () => {
    assert.throws(() => leaseOptions({ marginMs: 19 }), /no margin/);
    leaseOptions({ marginMs: 20 });
  });

  it("are refused when one lost heartbeat would end the lease, at the edge", () => {
    assert.throws(() => leaseOptions({ heartbeatMs: 301 }), /one lost heartbeat/);
    leaseOptions({ heartbeatMs: 300 });
  });

  it("are refused when they are no times at all", () => {
    assert.throws(() => leaseOptions({ leaseMs: 0 }), /leaseMs is 0/);
    assert.throws(() => leaseOptions({ canaryMs: Number.NaN }), /canaryMs/);
    assert.throws(() => leaseOptions({ canaryMs: 2000 }), /shorter than canaryMs/);
  });
});

describe("the term of a node lease", () => {
  const term = () => {
    const made = new LeaseTerm(1000, 100);
    made.setMembers(["n1", "n2", "n3"]);
    return made;
  };

  it("is not held before a majority has answered", () => {
    const lease = term();
    const first = lease.sent(5000);
    assert.ok(lease.leftMs(5000) <= 0);
    lease.granted("n1", first);
    assert.ok(lease.leftMs(5000) <= 0);
    lease.granted("n2", first);
    assert.equal(lease.leftMs(5000), 900);
  });

  it("runs from the sending, however late the answer comes", () => {
    const lease = term();
    const first = lease.sent(5000);
    lease.granted("n1", first);
    lease.granted("n2", first);
    assert.equal(lease.leftMs(5899), 1);
    assert.ok(lease.leftMs(5900) <= 0);
  });

  it("goes by the oldest answer of the best majority", () => {
    const lease = term();
    const first = lease.sent(5000);
    const second = lease.sent(5200);
    lease.granted("n1", second);
    lease.granted("n2", first);
    lease.granted("n3", first);
    assert.equal(lease.leftMs(5200), 700);
    lease.granted("n3", second);
    assert.equal(lease.leftMs(5200), 900);
  });

  it("does not go back when answers overtake each other", () => {
    const lease = term();
    const first = lease.sent(5000);
    const second = lease.sent(5200);
    for (const member of ["n1", "n2"]) lease.granted(member, second);
    for (const member of ["n1", "n2"]) lease.granted(member, first);
    assert.equal(lease.leftMs(5200), 900);
  });

  it("counts nobody who is no member, and wants more of a larger cluster that is only heard of", () => {
    const lease = term();
    const first = lease.sent(0);
    lease.granted("n1", first);
    lease.granted("n9", first);
    assert.ok(lease.leftMs(0) <= 0);
    lease.granted("n2", first);
    assert.equal(lease.leftMs(0), 900);
    lease.reported("n2", first, 5);
    assert.ok(lease.leftMs(0) <= 0);
    lease.granted("n3", first);
    assert.equal(lease.leftMs(0), 900);
  });

  it("asks for no majority of a group that has become smaller", () => {
    const lease = new LeaseTerm(1000, 100);
    lease.setMembers(["n1", "n2"]);
    const first = lease.sent(0);
    for (const member of ["n1", "n2"]) lease.reported(member, first, 2);
    const second = lease.sent(200);
    lease.granted("n1", second);
    lease.setMembers(["n1"]);
    assert.ok(lease.leftMs(200) <= 0, "n1 still speaks of two");
    lease.reported("n1", second, 1);
    assert.equal(lease.leftMs(200), 900);
    lease.reported("n2", second, 2);
    assert.equal(lease.leftMs(200), 900, "n2 is gone: what it says late does not count");
    lease.reported("n1", first, 2);
    assert.equal(lease.leftMs(200), 900, "an answer that was overtaken");
  });

  it("knows when no majority is left that could still promise", () => {
    const lease = term();
    const first = lease.sent(0);
    assert.equal(lease.refusedBy("n9", first), "by nobody", "no member");
    assert.equal(lease.refusedBy("n1", first), "by some");
    assert.equal(lease.refusedBy("n1", first), "by some");
    assert.equal(lease.refusedBy("n3", first), "by a majority");
  });

  it("takes no answer that was meant for an earlier incarnation", () => {
    const old = term();
    const before = old.sent(0);
    const lease = new LeaseTerm(1000, 100, old.lastSequence);
    lease.setMembers(["n1", "n2", "n3"]);
    lease.sent(5);
    for (const member of ["n1", "n2"]) lease.granted(member, before);
    assert.ok(lease.leftMs(5) <= 0);
    lease.refusedBy("n1", before);
    assert.equal(lease.refusedBy("n2", before), "by nobody");
  });
});
