// What no linter rule covers: generated code only behind src/wire, and pure folders free of the world.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const problems = [];

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== "gen") yield* sources(path);
    } else if (entry.name.endsWith(".ts")) yield path;
  }
}

// Time, chance and timers belong to the runtime, so that the simulation owns them.
const WORLD =
  /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|process\.hrtime|setTimeout|setInterval|setImmediate|randomBytes|randomUUID)\b/;
const MAY_TOUCH_WORLD = /^src\/(runtime|cli|node)\//;

for (const path of sources(join(root, "src"))) {
  const name = relative(root, path).replaceAll("\\", "/");
  const text = readFileSync(path, "utf8");
  if (!name.startsWith("src/wire/") && /from "(\.\.\/)+gen\//.test(text))
    problems.push(`${name}: imports src/gen; go through src/wire`);
  if (MAY_TOUCH_WORLD.test(name)) continue;
  text.split("\n").forEach((line, i) => {
    const code = line.replace(/\/\/.*$/, "").replace(/^\s*\*.*$/, "");
    const hit = WORLD.exec(code);
    if (hit)
      problems.push(`${name}:${i + 1}: ${hit[1]} outside src/runtime; take a Clock, Scheduler or Random`);
  });
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
