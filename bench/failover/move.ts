import { randomUUID } from "node:crypto";
import { askAny, askInTurn } from "../../src/cli/admin-client.js";
import { connect, type Session } from "../../src/client/index.js";
import { TestCluster, until } from "../../test/integration/cluster.js";

const CALL_TIMEOUT_MS = 10_000;

/** A client that writes or reads without a pause, and the longest time between two of its answers. */
class Busy {
  longestMs = 0;
  answers = 0;
  #stopped = false;
  readonly #loop: Promise<void>;

  constructor(step: () => Promise<unknown>) {
    this.#loop = (async () => {
      for (let last = performance.now(); !this.#stopped; ) {
        await step();
        const now = performance.now();
        this.longestMs = Math.max(this.longestMs, now - last);
        last = now;
        this.answers++;
      }
    })();
  }

  /** Resolves once two more operations were answered: the later one began after the call. */
  async twoMore(): Promise<void> {
    const before = this.answers;
    await until("the client goes on", 20_000, () => this.answers >= before + 2);
  }

  /** Rejects with what an operation of the client failed with. */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#loop;
  }
}

/** Moves a session by an operation of its own, as `holdfast transfer` does, and waits for its end. */
async function move(endpoints: readonly string[], request: object): Promise<void> {
  const operationId = randomUUID();
  const named = { ...request, operationId, reason: "bench", requestedBy: "bench" };
  await askInTurn(endpoints, "Transfer", named, CALL_TIMEOUT_MS);
  const ended = await until(`operation ${operationId} ends`, 20_000, async () => {
    const reply = await askAny(endpoints, "ListOperations", { id: operationId }, CALL_TIMEOUT_MS);
    return reply.operations?.find((each) => each.state !== "running");
  });
  if (ended.state !== "done") throw new Error(`the move ${ended.state}: ${ended.error}`);
}

/** Longest gap that a busy client saw in each of `count` planned moves of its session, in milliseconds. */
export async function plannedMoves(count: number): Promise<number[]> {
  const cluster = await TestCluster.start(3);
  const values: number[] = [];
  try {
    const endpoints = cluster.nodes.map((node) => node.grpc);
    const session = await connect({ nodes: endpoints, deadlineMs: 60_000 });
    const handle = await session.open("demo:/move", { disposition: "open-if" });
    const data = new Uint8Array(4096);
    const busy = new Busy(() => handle.write(0, data));
    for (let i = 0; i < count; i++) {
      const to = cluster.nodes.find((node) => node.name !== session.owner)?.name ?? "";
      busy.longestMs = 0;
      await move(endpoints, { sessionId: session.id, to });
      await settled(session, to);
      // The longest wait may be that of the operation that is still under way.
      await busy.twoMore();
      values.push(busy.longestMs);
    }
    await busy.stop();
    await handle.close();
    await session.close();
  } finally {
    await cluster.destroy();
  }
  return values;
}

function settled(session: Session, owner: string): Promise<unknown> {
  return until(
    "the client has come along",
    10_000,
    () => session.owner === owner && session.state === "ready",
  );
}
