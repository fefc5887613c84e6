import assert from "node:assert/strict";
import { v1 } from "../../src/wire/index.js";

describe("members of a oneof", () => {
  const both = Buffer.concat([
    v1.Command.encode({ claimKey: { key: "a" } }).finish(),
    v1.Command.encode({ storeKey: { key: "b" } }).finish(),
  ]);

  it("the last one on the wire stays, the one before it goes", () => {
    const command = v1.Command.decode(both);
    assert.equal(command.body, "storeKey");
    assert.deepEqual(Object.keys(command), ["storeKey"]);
    assert.equal(command.storeKey?.key, "b");
    assert.equal(command.claimKey, null);
  });

  it("fields beside the oneof stay", () => {
    const result = v1.CommandResult.decode(
      v1.CommandResult.encode({ revision: 7, error: { message: "no" }, key: { key: "k" } }).finish(),
    );
    assert.equal(result.revision, 7);
    assert.equal(result.error?.message, "no");
    assert.equal(result.key?.key, "k");
  });

  it("naming none of them clears all", () => {
    const command = new v1.Command({ storeKey: { key: "b" } });
    (command as { body: string | undefined }).body = undefined;
    assert.deepEqual(Object.keys(command), []);
  });

  it("nothing is deleted that is not there", () => {
    const deleted: PropertyKey[] = [];
    const watched = new Proxy(
      { storeKey: {}, claimKey: {} },
      {
        deleteProperty: (target, name) => {
          deleted.push(name);
          return Reflect.deleteProperty(target, name);
        },
      },
    );
    Reflect.set(v1.Command.prototype, "body", "storeKey", watched);
    assert.deepEqual(deleted, ["claimKey"]);
  });
});
