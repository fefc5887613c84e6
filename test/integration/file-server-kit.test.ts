import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  fileServerConformance,
  type FileServerUnderTest,
  type RunningServer,
  type StopPoint,
} from "../../src/testing/index.js";
import { freePorts, TestCluster, until } from "./cluster.js";
import { Supervised } from "./supervised.js";

const compiled = fileURLToPath(new URL("../../examples/kv-file-server.js", import.meta.url));
const original = readFileSync(compiled, "utf8");

/** An edit of the compiled example; the text must be there, or the test would test nothing. */
function edited(source: string, from: string, to: string): string {
  assert.ok(source.includes(from), `the example no longer holds: ${from}`);
  return source.replace(from, to);
}

/**
 * Once, in what it does for its own answer. What it does when it goes on is what the kit looks at: it does not end before,
 * because it was declared down.
 */
const STOP = `if (globalThis.answers) {
      globalThis.answers = false;
      process.exit = () => undefined;
      process.kill(process.pid, "SIGSTOP");
    }`;
const ANSWERS: readonly (readonly [string, string])[] = [
  ["const record = await own(key);", "globalThis.answers = false;\n    const record = await own(key);"],
  ["return perform(record, begun", "globalThis.answers = true;\n    return perform(record, begun"],
];
/** Just before the first look at the lease, and just after the effect. */
const STOPS: Record<StopPoint, readonly [string, string]> = {
  announced: ["mustHoldLease();\n    const file =", `${STOP}\n    mustHoldLease();\n    const file =`],
  performed: ["const state = Buffer.from(", `${STOP}\n    const state = Buffer.from(`],
};

/** The example with one thing wrong each, and the case that must notice. */
const BROKEN: readonly { what: string; from: string; to: string; noticedBy: RegExp }[] = [
  {
    what: "forgets its answers",
    from: "if (last.request === request)",
    to: "if (false)",
    noticedBy: /repeat gets the first answer/,
  },
  {
    what: "skips the resolution",
    from: "for (const effect of effects ?? [])",
    to: "for (const effect of [])",
    noticedBy: /done and not recorded/,
  },
  {
    what: "never looks at its lease",
    from: "if (performance.now() >= leaseUntil)",
    to: "if (false)",
    noticedBy: /paused beyond its lease/,
  },
  {
    what: "passes over the refusal of an epoch that is over",
    from: `await call("storeKey", { key: record.key, ...me, epoch: record.epoch, state });
    await call("finishEffect", { ...me, effectId: effect.id });
    mustHoldLease();`,
    to: `await call("storeKey", { key: record.key, ...me, epoch: record.epoch, state }).catch(() => null);
    await call("finishEffect", { ...me, effectId: effect.id }).catch(() => null);`,
    noticedBy: /epoch is over/,
  },
];

/** The example, or an edited copy of it beside the original, as a subject of the kit. */
class Subject implements FileServerUnderTest {
  readonly #cluster: TestCluster;
  readonly #source: string;
  readonly #folder: string;
  readonly #tag: string;
  readonly #servers: Supervised[] = [];
  readonly #files: string[] = [];
  #starts = 0;

  constructor(cluster: TestCluster, tag: string, source: string) {
    this.#cluster = cluster;
    this.#source = source;
    this.#tag = tag;
    this.#folder = join(cluster.folder, tag);
    mkdirSync(this.#folder);
  }

  async start(name: string, incarnation: number, stopAt: StopPoint | null): Promise<RunningServer> {
    const edits = stopAt === null ? [] : [STOPS[stopAt], ...ANSWERS];
    const source = edits.reduce((text, edit) => edited(text, ...edit), this.#source);
    const file = compiled.replace(/\.js$/, `-${process.pid}-${this.#tag}-${this.#starts++}.js`);
    writeFileSync(file, source);
    this.#files.push(file);
    const [port] = (await freePorts(1)) as [number];
    const me = `${this.#tag}-${name}`;
    const where = [String(port), this.#folder, this.#cluster.endpoints];
    const server = new Supervised(incarnation, (actual) => [file, me, String(actual), ...where]);
    this.#servers.push(server);
    await server.ready();
    return new Instance(server, port, this.#tag);
  }

  stored(): Promise<number> {
    return Promise.resolve(Number(readFileSync(join(this.#folder, `${this.#tag}.hits`), "utf8")));
  }

  async close(): Promise<void> {
    for (const server of this.#servers) await server.kill();
    for (const file of this.#files) rmSync(file, { force: true });
  }
}

class Instance implements RunningServer {
  readonly #server: Supervised;
  readonly #url: string;

  constructor(server: Supervised, port: number, client: string) {
    this.#server = server;
    this.#url = `http://127.0.0.1:${port}/add?client=${client}&name=hits&by=1&request=`;
  }

  async add(request: number, waitMs: number): Promise<number | null> {
    try {
      const response = await fetch(this.#url + request, {
        method: "POST",
        signal: AbortSignal.timeout(waitMs),
      });
      if (response.ok) return ((await response.json()) as { value: number }).value;
    } catch {
      // Gone or silent: no answer is what this interface calls null.
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    return null;
  }

  kill(): Promise<void> {
    return this.#server.kill();
  }

  async stopped(): Promise<void> {
    await until("the server stops itself", 60_000, () => {
      const stat = readFileSync(`/proc/${this.#server.pid}/stat`, "utf8");
      return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
    });
  }

  resume(): void {
    this.#server.resume();
  }
}

describe("the kit for file servers that are not ours", function () {
  this.timeout(300_000);
  let cluster: TestCluster;
  let number = 0;
  before(async () => {
    cluster = await TestCluster.start();
  });
  after(() => cluster?.destroy());

  // A stall that costs a server its lease where it was to stop leaves nothing to be found out.
  const run = async (source: string, name: RegExp): Promise<void> => {
    const found = fileServerConformance.find((each) => name.test(each.name));
    assert.ok(found, `the kit has no case like ${name}`);
    const subject = new Subject(cluster, `kit${number++}`, source);
    try {
      await found.run(subject);
    } finally {
      await subject.close();
    }
  };

  describe("finds nothing wrong with the worked example", () => {
    for (const { name } of fileServerConformance)
      it(name, () => cluster.undisturbed(() => run(original, new RegExp(`^${name}$`))));
  });

  describe("finds it out when the example", () => {
    for (const { what, from, to, noticedBy } of BROKEN)
      it(what, () =>
        cluster.undisturbed(() =>
          assert.rejects(run(edited(original, from, to), noticedBy), assert.AssertionError),
        ),
      );
  });
});
