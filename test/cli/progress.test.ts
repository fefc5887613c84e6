import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { Progress } from "../../src/cli/progress.js";

const MEBIBYTE = 1024 * 1024;

/** A stream that keeps what was written; with `columns` it says that it is a terminal. */
function terminal(isTTY: boolean) {
  const stream = new PassThrough();
  return {
    stream: Object.assign(stream, { isTTY, columns: 40 }),
    written: () => String(stream.read() ?? ""),
  };
}

describe("the progress bar", () => {
  const before = process.env["TERM"];
  beforeEach(() => {
    process.env["TERM"] = "xterm";
  });
  after(() => {
    if (before === undefined) delete process.env["TERM"];
    else process.env["TERM"] = before;
  });

  it("shows on a terminal, figures first, and gives the terminal back as it was", () => {
    const { stream, written } = terminal(true);
    const progress = new Progress(stream, { name: "large", total: 200 * MEBIBYTE });
    const begin = written();
    assert.match(begin, /\s0%  0 B of 200\.0 MiB  .*  large/);
    progress.at(100 * MEBIBYTE);
    progress.end();
    const end = written();
    assert.match(end, /50%  100\.0 MiB of 200\.0 MiB/);
    for (const [hidden, shown] of [
      ["\u001b[?25l", "\u001b[?25h"],
      ["\u001b[?7l", "\u001b[?7h"],
    ] as const) {
      assert.ok(begin.includes(hidden));
      assert.ok(end.lastIndexOf(shown) > end.lastIndexOf(hidden), JSON.stringify(end));
    }
    // The line that the bar had is clear.
    assert.ok(end.endsWith("\u001b[2K"), JSON.stringify(end));
    progress.end();
    progress.at(150 * MEBIBYTE);
    assert.equal(written(), "", "nothing after its end");
  });

  it("shows nothing without a terminal, for little, and where nobody knows how much", () => {
    for (const [isTTY, total] of [
      [false, 200 * MEBIBYTE],
      [true, MEBIBYTE],
      [true, null],
    ] as const) {
      const { stream, written } = terminal(isTTY);
      const progress = new Progress(stream, { name: "x", total });
      progress.at(MEBIBYTE);
      progress.end();
      assert.equal(written(), "");
    }
  });

  it("shows nothing on a terminal that cannot redraw a line", () => {
    process.env["TERM"] = "dumb";
    const { stream, written } = terminal(true);
    new Progress(stream, { name: "x", total: 200 * MEBIBYTE }).end();
    assert.equal(written(), "");
  });

  it("lets no name move the cursor", () => {
    const { stream, written } = terminal(true);
    const progress = new Progress(stream, { name: "a\u001b[2Jb\n{total}", total: 200 * MEBIBYTE });
    progress.end();
    assert.match(written(), /a\?\[2Jb\?\?total\?/);
  });
});
