import assert from "node:assert/strict";
import { parse } from "yaml";
import { DEFAULT_ENDPOINTS, makeContext, parseDuration, type CliContext } from "../../src/cli/context.js";
import { exitCodeOf } from "../../src/cli/exit-codes.js";
import { duration, fineDuration, size, time } from "../../src/cli/format.js";
import { printListing, renderTable, type Column } from "../../src/cli/output.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";

interface Row {
  name: string;
  count: number;
}

const columns: readonly Column<Row>[] = [
  { title: "NAME", show: (row) => row.name },
  { title: "COUNT", right: true, show: (row) => String(row.count) },
  { title: "MORE", wide: true, show: (row) => row.name.toUpperCase() },
];
const rows = [
  { name: "a", count: 1 },
  { name: "longer", count: 100 },
];

function printed(output: string): string {
  let text = "";
  const context: CliContext = {
    ...makeContext({ output }, {}),
    out: (more) => {
      text += `${more}\n`;
    },
    say: () => {},
  };
  printListing(context, { kind: "RowList", columns, rows, extra: { revision: 7 } });
  return text;
}

describe("cli output", () => {
  it("prints tables that align, and more columns with wide", () => {
    assert.equal(printed("table"), "NAME    COUNT\na           1\nlonger    100\n");
    assert.equal(printed("wide"), "NAME    COUNT  MORE\na           1  A\nlonger    100  LONGER\n");
  });

  it("prints the same document as JSON and as YAML, with a schema version", () => {
    const document = JSON.parse(printed("json")) as unknown;
    assert.deepEqual(document, { schemaVersion: 1, kind: "RowList", revision: 7, items: rows });
    assert.deepEqual(parse(printed("yaml")), document);
  });

  it("lets no control character of a name reach the terminal", () => {
    const text = renderTable(columns, [{ name: "a\u001b[31m\nb\u009bc", count: 0 }], false);
    assert.equal(text.split("\n").length, 2);
    assert.match(text, /a\?\[31m\?b\?c/);
  });

  it("writes durations, sizes and times in one way", () => {
    assert.deepEqual([0.4, 999, 1_000, 61_000, 3_660_000].map(duration), [
      "0 ms",
      "999 ms",
      "1.0 s",
      "1 min 1 s",
      "1 h 1 min",
    ]);
    assert.equal(fineDuration(0.44), "0.4 ms");
    assert.deepEqual([0, 1023, 1024, 200 * 1024 * 1024].map(size), ["0 B", "1023 B", "1.0 KiB", "200.0 MiB"]);
    assert.equal(time(0), null);
    assert.equal(time(1_700_000_000_000), "2023-11-14T22:13:20.000Z");
  });
});

describe("cli options", () => {
  it("takes endpoints from the flag, else the environment, else the local cluster", () => {
    assert.deepEqual(makeContext({}, {}).endpoints, DEFAULT_ENDPOINTS.split(","));
    assert.deepEqual(makeContext({}, { HOLDFAST_ENDPOINTS: "a:1, b:2,a:1" }).endpoints, ["a:1", "b:2"]);
    assert.deepEqual(makeContext({ endpoints: "[::1]:9" }, { HOLDFAST_ENDPOINTS: "a:1" }).endpoints, [
      "[::1]:9",
    ]);
  });

  it("refuses what it cannot read, with the next step", () => {
    const bad = [
      { endpoints: "nowhere" },
      { endpoints: "," },
      { output: "xml" },
      { timeout: "soon" },
      { timeout: "0s" },
    ];
    for (const options of bad) {
      assert.throws(
        () => makeContext(options, {}),
        (error) =>
          error instanceof HoldfastError && exitCodeOf(error) === 2 && error.extras.next !== undefined,
      );
    }
  });

  it("reads durations", () => {
    assert.deepEqual(
      ["250ms", "10s", "2m", "1h", "3"].map((text) => parseDuration(text, "--x")),
      [250, 10_000, 120_000, 3_600_000, 3_000],
    );
  });
});

describe("cli exit codes", () => {
  const table: [ErrorCode, number][] = [
    [ErrorCode.INTERNAL, 1],
    [ErrorCode.UNKNOWN_SESSION, 1],
    [ErrorCode.INVALID_ARGUMENT, 2],
    [ErrorCode.NO_QUORUM, 4],
    [ErrorCode.NOT_READY, 4],
    [ErrorCode.PRECONDITION_FAILED, 5],
    [ErrorCode.STALE_EPOCH, 5],
    [ErrorCode.NO_CHANGE, 6],
    [ErrorCode.OUTCOME_UNKNOWN, 7],
    [ErrorCode.DEADLINE_EXCEEDED, 124],
  ];
  for (const [code, exit] of table) {
    it(`${ErrorCode[code]} ends with ${exit}`, () =>
      assert.equal(exitCodeOf(new HoldfastError(code, "x")), exit));
  }
});
