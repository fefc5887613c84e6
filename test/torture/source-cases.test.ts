import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { GROUPS } from "./groups.js";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const SOURCE = join(ROOT, "..", "shared", "reference", "semantics.md");

interface Row {
  readonly suite: string;
  readonly name: string;
  readonly where: string;
}

/** The rows of docs/verification-cases.md; an empty first cell stands for the suite above. */
function rows(): Row[] {
  const all: Row[] = [];
  for (const line of readFileSync(join(ROOT, "docs", "verification-cases.md"), "utf8").split("\n")) {
    const [, suite = "", name = "", where = ""] = line.split("|").map((cell) => cell.trim());
    if (!line.startsWith("| ") || name === "name" || name.startsWith("---")) continue;
    all.push({ suite: suite || (all.at(-1)?.suite ?? ""), name, where });
  }
  return all;
}

/** What a row refers to: pairs of "stack" or a file, and a part of a name there. */
function links(where: string): [file: string, title: string][] {
  return [...where.matchAll(/`([a-z/-]+): ([^`]+)`/g)].map(([, file = "", title = ""]) => [file, title]);
}

/**
 * What looks like a case name in part I of the source: a word with a digit, a hyphen or an underscore, outside brackets.
 * "a1-3" stands for three. Names of plain letters ("break", "unlink") cannot be told from other words; their rows were made
 * by hand.
 */
function namesInSource(text: string): Set<string> {
  const part = text.slice(text.indexOf("## I. smbtorture cases"));
  const names = new Set<string>();
  for (const raw of part.replace(/\([^()]*\)/g, " ").split(/[\s,;:/.]+/)) {
    if (!/^[A-Za-z][\w*-]*$/.test(raw) || !/[\d_-]/.test(raw)) continue;
    const range = /^(\D*(?:\dx?_\D*)?)(\d)-(\d)$/.exec(raw);
    if (range === null) names.add(raw);
    else for (let n = Number(range[2]); n <= Number(range[3]); n++) names.add(`${range[1]}${n}`);
  }
  return names;
}

/** Words of part I that look like names and are none: files, errors, values, pieces of names, and plain English. */
const NO_NAMES =
  /^(durable_v2_open|durable_open|persistent_open|[A-Z][A-Z_0-9]+|DH2Q|DHnQ|DHnC|DH2C|_.*|v[12]|source\d|samba.*|smb2|B\d|.*_$|H\d|BVT_|BVT_WitnessrRegister|SWNRegistration|share-mode|set-EOF|byte-range|scale-out|set-info|re-[a-z]+|Model-based)$/;

describe("every case name of the source", () => {
  const all = rows();
  const titles = Object.values(GROUPS)
    .flat()
    .map(({ name }) => name);

  it("has a row with a test that exists, or with a reason", () => {
    assert.ok(all.length > 250, `only ${all.length} rows were found`);
    for (const { suite, name, where } of all) {
      const named = links(where);
      if (named.length === 0) assert.ok(where.length > 15, `${suite} ${name}: neither a test nor a reason`);
      assert.equal(
        where.split("`").length - 1,
        named.length * 2,
        `${suite} ${name}: a link is not understood`,
      );
      for (const [file, title] of named) {
        if (file === "stack") {
          assert.ok(
            titles.some((one) => one.includes(title)),
            `${suite} ${name}: no case of test/torture is named "${title}"`,
          );
          continue;
        }
        const path = join(ROOT, "test", `${file}.test.ts`);
        assert.ok(existsSync(path), `${suite} ${name}: there is no ${path}`);
        assert.ok(
          readFileSync(path, "utf8").includes(title),
          `${suite} ${name}: "${title}" is not in ${path}`,
        );
      }
    }
  });

  it("has one row only", () => {
    const seen = new Set<string>();
    for (const { suite, name } of all) {
      assert.ok(!seen.has(`${suite} ${name}`), `${suite} ${name} stands there twice`);
      seen.add(`${suite} ${name}`);
    }
  });

  it("is one of those that the source lists", function () {
    if (!existsSync(SOURCE)) {
      console.log(`      SKIPPED, nothing was compared: ${SOURCE} is not there`);
      this.skip();
    }
    const names = [...new Set(all.flatMap(({ suite, name }) => [suite, name]))];
    // Pieces: "replay-dhv2-lease1/2; lease3", "...-close/-ack-(sane|windows)", "DurableHandleV2_* (other owner, ...)".
    const known = (word: string): boolean =>
      names.some((name) =>
        word.endsWith("*")
          ? name.startsWith(word.slice(0, -1))
          : name === word || name === `${word}-sane` || name.endsWith(`-${word}`),
      );
    const missing = [...namesInSource(readFileSync(SOURCE, "utf8"))].filter(
      (word) => !NO_NAMES.test(word) && !known(word),
    );
    assert.deepEqual(missing, []);
  });
});
