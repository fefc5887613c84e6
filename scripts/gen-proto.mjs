// Generates src/gen/holdfast.{js,d.ts} from proto/: static protobufjs code, plain ES modules, no download.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const protoDir = join(root, "proto", "holdfast", "v1");
const outDir = join(root, "src", "gen");
const files = readdirSync(protoDir)
  .filter((name) => name.endsWith(".proto"))
  .sort()
  .map((name) => join(protoDir, name));
const js = join(outDir, "holdfast.js");
const dts = join(outDir, "holdfast.d.ts");

const newest = Math.max(
  ...files.map((file) => statSync(file).mtimeMs),
  statSync(fileURLToPath(import.meta.url)).mtimeMs,
);
const fresh = existsSync(js) && existsSync(dts) && statSync(dts).mtimeMs > newest;
if (!fresh) {
  mkdirSync(outDir, { recursive: true });
  const bin = (name) => join(root, "node_modules", "protobufjs-cli", "bin", name);
  const run = (name, args) =>
    execFileSync(process.execPath, [bin(name), ...args], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
    });
  const staticArgs = [
    "-t",
    "static-module",
    "-w",
    "esm",
    "--es6",
    "--force-number",
    "--no-service",
    "--no-verify",
    "--no-delimited",
    "-p",
    join(root, "proto"),
  ];
  run("pbjs", [...staticArgs, "-o", js, ...files]);
  run("pbts", ["-o", dts, js]);
  // Comments serve pbts alone: without them the module is a third of the size, which every start of a process pays for.
  run("pbjs", [...staticArgs, "--no-comments", "-o", js, ...files]);
  writeFileSync(dts, readFileSync(dts, "utf8").replace(/^import Long = require\("long"\);$/m, ""));
}
mkdirSync(join(root, "dist", "src", "gen"), { recursive: true });
writeFileSync(join(root, "dist", "src", "gen", "holdfast.js"), readFileSync(js));
