import assert from "node:assert/strict";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { toServiceError } from "../../src/wire/grpc-errors.js";

describe("an error as a unary call's client reads it", () => {
  it("is its code, a sentence, and the next step as a sentence of its own", () => {
    const next = "use one of: demo";
    const error = new HoldfastError(ErrorCode.UNKNOWN_SHARE, 'no share "nope" on n2', { next });
    assert.equal(
      toServiceError(error).details,
      'UNKNOWN_SHARE: no share "nope" on n2. Next: use one of: demo',
    );
    assert.equal(
      toServiceError(new HoldfastError(ErrorCode.CANCELLED, "as asked")).details,
      "CANCELLED: as asked",
    );
  });
});
