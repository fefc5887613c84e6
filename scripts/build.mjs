// One build: protobuf code, then TypeScript, then the `holdfast` command for npx in this checkout.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const node = (script, ...args) =>
  execFileSync(process.execPath, [script, ...args], { cwd: root, stdio: "inherit" });
node(join(root, "scripts", "gen-proto.mjs"));
node(join(root, "node_modules", "typescript", "bin", "tsc"), "-p", ".");
const bin = join(root, "node_modules", ".bin");
const link = join(bin, "holdfast");
mkdirSync(bin, { recursive: true });
if (!existsSync(link)) {
  rmSync(link, { force: true });
  symlinkSync(join("..", "..", "bin", "holdfast.js"), link);
}
