import { deepEqual, equal } from "node:assert/strict";
import { dispositionOutcome, mayNameFolder, overwrites } from "../../../src/state/rules/disposition.js";
import { ErrorCode } from "../../../src/wire/errors.js";
import { v1 } from "../../../src/wire/index.js";
import { assertCode, World } from "../harness.js";

const D = v1.Disposition;
const ALL = [D.SUPERSEDE, D.OPEN, D.CREATE, D.OPEN_IF, D.OVERWRITE, D.OVERWRITE_IF] as const;

describe("rules: dispositions (semantics F1)", () => {
  it("what stands there by disposition", () => {
    const texts = ALL.map((disposition) =>
      (["absent", "file", "directory"] as const).map((there) => {
        const outcome = dispositionOutcome(disposition, there);
        if (outcome.kind === "error") return ErrorCode[outcome.code];
        return outcome.kind === "open" ? "open" : v1.CreateAction[outcome.action];
      }),
    );
    deepEqual(texts, [
      ["CREATED", "SUPERSEDED", "OBJECT_NAME_COLLISION"],
      ["OBJECT_NAME_NOT_FOUND", "open", "open"],
      ["CREATED", "OBJECT_NAME_COLLISION", "OBJECT_NAME_COLLISION"],
      ["CREATED", "open", "open"],
      ["OBJECT_NAME_NOT_FOUND", "OVERWRITTEN", "OBJECT_NAME_COLLISION"],
      ["CREATED", "OVERWRITTEN", "OBJECT_NAME_COLLISION"],
    ]);
  });

  it("a folder has no content to replace: what replaces may not name one, whatever stands there", () => {
    for (const disposition of ALL) {
      equal(mayNameFolder(disposition), !overwrites(disposition), D[disposition]);
      for (const there of ["absent", "file", "directory"] as const) {
        const world = new World();
        if (there !== "absent") world.file("d", there === "directory");
        const command = world.openCommand(world.client("a"), { path: "d", directory: true, disposition });
        const result = world.run(command);
        if (overwrites(disposition)) assertCode(result, ErrorCode.INVALID_PARAMETER);
        else equal(result.error?.code === ErrorCode.INVALID_PARAMETER, false, `${D[disposition]} ${there}`);
        equal([...world.machine.effects()].length === 0 || there === "absent", true);
      }
    }
  });

  it("nobody asks for a file and a folder at once", () => {
    const world = new World();
    const command = world.openCommand(world.client("a"), { path: "d", directory: true });
    if (command.openHandle) command.openHandle.wantFile = true;
    assertCode(world.run(command), ErrorCode.INVALID_PARAMETER);
  });
});
