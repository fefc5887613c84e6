/**
 * The owner that dies: a process of its own with a file node on a real directory and a coordinator whose log is on disk.
 * Runs one scenario; HOLDFAST_CRASH_AT lets it die on the way. With "trace" it says which crash points it passes.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { setCrashHook } from "../../../src/filenode/crash-points.js";
import { PosixVfs } from "../../../src/filenode/vfs/posix-vfs.js";
import { TestClient, World } from "../world.js";
import { FileJournal } from "./journal.js";
import { scenarios, withoutEffect } from "./scenarios.js";

const [folder = "", number = "0", mode = "run"] = process.argv.slice(2);
const scenario = [...scenarios, ...withoutEffect][Number(number)];
if (scenario === undefined) throw new Error(`no scenario ${number}`);

const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`);

const world = new World(new FileJournal(join(folder, "journal")));
world.init();
const vfs = await PosixVfs.open(join(folder, "share"));
const owner = await world.start("n1", { vfs });
const client = await TestClient.make(1).open(owner);
const held = await scenario.prepare(client);
const open = [...owner.node.core.sessions.values()][0]?.handles.values().next().value;
const handle =
  held.handle === "" ? null : { persistent: open?.record.id ?? null, volatile: open?.record.volatileId ?? 0 };
const request = client.requestId();
say({
  session: client.info.sessionId,
  token: Buffer.from(client.info.resumeToken ?? []).toString("hex"),
  held,
  request,
});
const points: string[] = [];
if (mode === "trace") setCrashHook((name) => points.push(name));
const response = await client.ask(scenario.request(handle), { request });
setCrashHook(null);
say({ points, answer: scenario.answer(response), error: response.error?.message });
process.exit(0);
