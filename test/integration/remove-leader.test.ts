import assert from "node:assert/strict";
import { connect, type Session } from "../../src/client/index.js";
import { TestCluster, until } from "./cluster.js";

const RECORD_BYTES = 8;
/** Appends that have to be answered again after each change. */
const MORE = 20;

/** Appends record after record, one at a time, until it is stopped. */
class Load {
  answered = 0;
  private stopped = false;
  private readonly running: Promise<void>;

  constructor(private readonly session: Session) {
    this.running = this.append();
    // It is looked at by `end`; until then its failure is not unhandled.
    this.running.catch(() => undefined);
  }

  private async append(): Promise<void> {
    const handle = await this.session.open("demo:/load", { disposition: "create" });
    while (!this.stopped) {
      const offset = await handle.append(Buffer.from(record(this.answered)));
      assert.equal(offset, this.answered * RECORD_BYTES, "each is appended once, and none is lost");
      this.answered++;
    }
    const { length } = await handle.read(0, (this.answered + 1) * RECORD_BYTES);
    assert.equal(length, this.answered * RECORD_BYTES);
    await handle.close();
  }

  /** Resolves when some more have been answered; rejects when the load has failed. */
  async goesOn(): Promise<void> {
    const wanted = this.answered + MORE;
    await Promise.race([this.running, until("the load goes on", 60_000, () => this.answered >= wanted)]);
  }

  end(): Promise<void> {
    this.stopped = true;
    return this.running;
  }
}

function record(n: number): string {
  return String(n).padStart(RECORD_BYTES, "0");
}

describe("removing the leader of real processes under load", function () {
  this.timeout(300_000);
  let cluster: TestCluster;

  before(async () => {
    cluster = await TestCluster.start(4);
  });
  after(() => cluster?.destroy());

  const members = async () =>
    (await cluster.items<{ member: string }>("members")).map(({ member }) => member).join();

  it("is answered once, another leads, it stays out, and clients go on", async () => {
    const gone = await cluster.leader();
    // The one who is removed serves the load.
    const session = await cluster.undisturbed(async () => {
      const opened = await connect({ nodes: [cluster.node(gone).grpc], deadlineMs: 60_000 });
      if (opened.owner === gone) return opened;
      await opened.close();
      assert.fail(`${opened.owner} serves, not ${gone}`);
    });
    const load = new Load(session);
    await load.goesOn();
    const left = cluster.nodes.map(({ name }) => name).filter((name) => name !== gone);

    const { code, stdout, stderr } = await cluster.cli("members", "remove", gone);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^${gone} removed\\. Next: stop it[^\\n]*\\n$`), "one line, once");
    assert.equal(await members(), left.join());
    await until("one of those who are left leads", 60_000, async () => left.includes(await cluster.leader()));

    // What it served is served by others, also while nobody stops it as they were told to.
    await until("one of those who are left serves", 60_000, () => left.includes(session.owner));
    await load.goesOn();
    assert.equal((await cluster.kill(gone, "SIGTERM")).code, 0);
    await load.goesOn();

    const again = cluster.startNode(gone);
    const readyz = `http://${cluster.node(gone).http}/readyz`;
    await until("the removed one runs again, or has ended", 60_000, async () => {
      return again.child.exitCode !== null || (await fetch(readyz)).status > 0;
    });
    await load.goesOn();
    assert.equal(await members(), left.join());
    const leads = await cluster.leader();
    assert.ok(left.includes(leads), `${leads} leads`);
    assert.equal((await fetch(readyz).catch(() => null))?.ok ?? false, false, "it is ready for nobody");

    // Two of the three who are left are a majority: the removed one counts for nothing.
    await cluster.kill(left.find((name) => name !== leads) ?? "");
    await load.goesOn();
    await load.end();
    await session.close();
  });
});
