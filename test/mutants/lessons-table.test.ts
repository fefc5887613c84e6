import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { allMutants } from "../simulation/mutants.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const ORACLE = join(ROOT, process.env["HOLDFAST_ORACLE_DIR"] || "../shared/oracle/etcd-raft");
const COUNTS: Readonly<Record<string, number>> = { two: 2, three: 3 };
const LESSONS = 45;

interface Row {
  readonly lesson: string;
  readonly kept: string;
  readonly tested: string;
  readonly mutants: string;
}

const ROWS: readonly Row[] = readFileSync(join(ROOT, "docs/verification-lessons.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| L\d+ \|/.test(line))
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .map(([, lesson = "", , kept = "", tested = "", mutants = ""]) => ({ lesson, kept, tested, mutants }));

/** Sources and tests, by path from the root. */
const FILES = new Map(
  ["src", "test"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => [`${folder}/${name}`, readFileSync(join(ROOT, folder, name), "utf8")] as const),
  ),
);

/** Texts of the files that a cell may mean by a path. */
function filesNamed(path: string): readonly string[] {
  const plain = path.replaceAll("\\", "/");
  const ends = plain.includes("*") ? plain.slice(plain.indexOf("*") + 1) : plain;
  const starts = plain.includes("*") ? plain.slice(0, plain.indexOf("*")) : "";
  return [...FILES]
    .filter(([name]) =>
      starts === "" ? name === ends || name.endsWith(`/${ends}`) : name.startsWith(starts),
    )
    .filter(([name]) => name.endsWith(ends) || name.endsWith(`/${ends}`))
    .map(([, text]) => text);
}

/** Each path of a cell, with what the cell says behind it, up to the next path. */
function citations(cell: string): { readonly path: string; readonly said: string }[] {
  const found: { path: string; said: string }[] = [];
  for (const match of cell.matchAll(/`([\w/.*-]+\.ts)`([^`]*)/g))
    found.push({ path: match[1] as string, said: match[2] as string });
  return found;
}

/** How many tests of the core have a title that names this lesson. */
function titles(lesson: string): number {
  const tests = [...FILES].filter(([name]) => /^test\/raft\/.*\.test\.ts$/.test(name));
  const title = new RegExp(`\\bit\\(\\s*["'\`][^\n]*\\b${lesson}\\b`, "g");
  return tests.reduce((sum, [, text]) => sum + [...text.matchAll(title)].length, 0);
}

describe("the table of lessons (docs/verification-lessons.md)", () => {
  it("has a row for each lesson, in order", () => {
    const expected = Array.from({ length: LESSONS }, (_, i) => `L${i + 1}`);
    assert.deepEqual(
      ROWS.map(({ lesson }) => lesson),
      expected,
    );
  });

  for (const { lesson, kept, tested, mutants } of ROWS) {
    it(`${lesson}: what it cites is there`, () => {
      for (const { path, said } of [...citations(kept), ...citations(tested)]) {
        const texts = filesNamed(path);
        assert.ok(texts.length > 0, `no file ${path}`);
        const names = [...said.matchAll(/\b[a-z]+[A-Z]\w*\b|\b[A-Z][a-z]+[A-Z]\w*\b/g)].map(([name]) => name);
        const sentences = [...said.matchAll(/"([^"]+)"/g)].map((match) => match[1] as string);
        for (const cited of [...names, ...sentences])
          assert.ok(
            texts.some((text) => text.includes(cited)),
            `${path} does not hold ${cited}`,
          );
      }
      for (const [, other, count] of tested.matchAll(/\b(L\d+)\b(?: \((\w+)\))?/g))
        assert.ok(titles(other as string) >= (COUNTS[count ?? ""] ?? 1), `tests named ${other}: too few`);
      const shown = mutants === "-" || mutants.startsWith("none") ? tested : `${tested}${mutants}`;
      assert.ok(
        shown.replaceAll("-", "").trim() !== "" || kept.startsWith("does not arise"),
        "shown by nothing",
      );
    });

    it(`${lesson}: its planted bugs exist, and none of them is left out`, () => {
      const known = allMutants();
      const names = new Set(known.map(({ name }) => name));
      const cited = [...mutants.matchAll(/\b[a-z]+[A-Z]\w*\b/g)].map(([name]) => name);
      for (const name of cited) assert.ok(names.has(name), `no planted bug ${name}`);
      const ofLesson = known.filter((mutant) => mutant.lesson === lesson).map(({ name }) => name);
      assert.deepEqual(
        ofLesson.filter((name) => !mutants.includes(name)),
        [],
      );
    });
  }

  it("names files of etcd that are there", function () {
    if (!existsSync(ORACLE)) return this.skip();
    const files = readdirSync(ORACLE, { recursive: true, encoding: "utf8" }).join("\n");
    for (const { tested } of ROWS)
      for (const [, list] of tested.matchAll(/oracle ([^;]+)/g))
        for (const name of (list as string).split(",").map((part) => part.trim().replace("*", "")))
          assert.ok(files.includes(name), `no file ${name} under ${ORACLE}`);
  });
});
