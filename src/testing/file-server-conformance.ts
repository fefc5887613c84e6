import assert from "node:assert/strict";

/**
 * Where a server under test ends or stops itself when it is told to: `announced`: its intent is in the log and the effect
 * is not done; `performed`: the effect is done, and neither answer nor outcome is in the log. In a request that it answers;
 * not in what it resolves first, be it its own of an earlier try.
 */
export type StopPoint = "announced" | "performed";

/** A server that was started. */
export interface RunningServer {
  /**
   * Adds one to the counter under this request number. Answers the counter's value, or null when the server refused, is
   * gone, or did not answer within `waitMs`; not before some 100 ms then, so that it can be asked in a loop. Never rejects.
   */
  add(request: number, waitMs: number): Promise<number | null>;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
  /** Resolves when it has stopped itself (SIGSTOP) at its stop point. */
  stopped(): Promise<void>;
  /** Lets a stopped one go on. */
  resume(): void;
}

/**
 * A file server that keeps one counter on storage that all its instances share, and its client's state with Holdfast: the
 * smallest thing that can be got wrong in every known way.
 */
export interface FileServerUnderTest {
  /** Starts an instance and resolves when it takes calls. With `stopAt`, it stops itself there, once. */
  start(name: string, incarnation: number, stopAt: StopPoint | null): Promise<RunningServer>;
  /** The counter as it stands on the shared storage. */
  stored(): Promise<number>;
}

/** One known way to get it wrong. Each runs on storage and names of its own. */
export interface FileServerCase {
  readonly name: string;
  readonly run: (subject: FileServerUnderTest) => Promise<void>;
}

/** Longest that a takeover may take here: the node lease, its margin, and a slow machine. */
const TAKEOVER_TRIES = 100;

/** How often a machine may stall for longer than a node lease in one case. */
const STALLS_MAX = 3;

/** Longest wait for one answer of a server that runs, in milliseconds. */
const ANSWER_MS = 1_500;

/**
 * Longest wait for what a stopped owner says once it goes on, in milliseconds: longer than any takeover. A shorter one is
 * over before the owner goes on, and a late answer, which is the fault looked for, is heard by nobody.
 */
const LATE_ANSWER_MS = 90_000;

/** Asks until the server answers: what it is for, while a lease runs out elsewhere. */
async function untilAdded(server: RunningServer, request: number): Promise<number> {
  for (let i = 0; i < TAKEOVER_TRIES; i++) {
    const value = await server.add(request, ANSWER_MS);
    if (value !== null) return value;
  }
  throw new assert.AssertionError({
    message: `request ${request} was not answered in ${TAKEOVER_TRIES} tries`,
  });
}

/**
 * Asks a server that is to stop itself in a request, and again while it only refuses. One that lost its lease on the way
 * resolves what it has announced and then answers without a stop: the next request is tried. Resolves with the request in
 * which it has stopped, whose answer is the counter's value too, and with what it will say once it goes on.
 */
async function untilStopped(
  server: RunningServer,
  from: number,
): Promise<{ readonly request: number; readonly late: Promise<number | null> }> {
  let over = false;
  const asked = async (request: number): Promise<number | null> => {
    for (;;) {
      const value = await server.add(request, LATE_ANSWER_MS);
      if (value !== null || over) return value;
    }
  };
  const stop = server.stopped().then(() => true);
  // Whoever gives up before it has stopped waits for it no more.
  stop.catch(() => undefined);
  try {
    for (let request = from; request < from + STALLS_MAX; request++) {
      const late = asked(request);
      if (await Promise.race([stop, late.then(() => false)])) return { request, late };
      assert.equal(await late, request, "the value of a request that was resolved and then answered");
    }
    return assert.fail(`${STALLS_MAX} requests were answered without a stop on the way`);
  } finally {
    over = true;
  }
}

async function diesAt(subject: FileServerUnderTest, point: StopPoint): Promise<void> {
  const steady = await subject.start("a", 1, null);
  assert.equal(await untilAdded(steady, 1), 1);
  await steady.kill();
  const first = await subject.start("a", 2, point);
  const { request, late } = await untilStopped(first, 2);
  const second = await subject.start("b", 1, null);
  await first.kill();
  assert.equal(await late, null, "the server answered beyond the point at which it stopped");
  assert.equal(await untilAdded(second, request), request, "the repeat of the lost request");
  assert.equal(await subject.stored(), request, "on the storage after the repeat");
  assert.equal(await untilAdded(second, request + 1), request + 1, "the next request");
  assert.equal(await subject.stored(), request + 1, "on the storage after the next request");
}

/**
 * An owner that has stopped itself in a request, and its heir, which has done that and the next meanwhile. `late`: its own
 * answer; `done`: the latest request.
 */
async function overtakenAt(
  subject: FileServerUnderTest,
  point: StopPoint,
): Promise<{ stopped: RunningServer; heir: RunningServer; done: number; late: Promise<number | null> }> {
  const steady = await subject.start("a", 1, null);
  assert.equal(await untilAdded(steady, 1), 1);
  await steady.kill();
  const stopped = await subject.start("a", 2, point);
  const { request, late } = await untilStopped(stopped, 2);
  const heir = await subject.start("b", 1, null);
  const done = request + 1;
  for (const each of [request, done]) assert.equal(await untilAdded(heir, each), each);
  return { stopped, heir, done, late };
}

/** The known ways to get a file server wrong, as cases (docs/file-servers.md). */
export const fileServerConformance: readonly FileServerCase[] = [
  {
    name: "a repeat gets the first answer and changes nothing",
    async run(subject) {
      const server = await subject.start("a", 1, null);
      assert.equal(await untilAdded(server, 1), 1);
      assert.equal(await untilAdded(server, 1), 1);
      assert.equal(await untilAdded(server, 2), 2);
      assert.equal(await subject.stored(), 2);
    },
  },
  {
    name: "while its owner lives, nobody else serves a client",
    async run(subject) {
      let owner = await subject.start("a", 1, null);
      let other = await subject.start("b", 1, null);
      assert.equal(await untilAdded(owner, 1), 1);
      for (let request = 2; request <= 1 + STALLS_MAX; request++) {
        const stolen = await other.add(request, ANSWER_MS);
        if (stolen === null) return assert.equal(await untilAdded(owner, request), request);
        // Rightly so only when the owner has lost its lease meanwhile, as in a stall of the machine: then it refuses.
        assert.equal(await owner.add(request, ANSWER_MS), null, "two servers answer for one client");
        [owner, other] = [other, owner];
      }
      assert.fail(`the other server answered ${STALLS_MAX} times though the owner lives`);
    },
  },
  {
    name: "after a takeover a repeat gets the first answer",
    async run(subject) {
      const first = await subject.start("a", 1, null);
      const second = await subject.start("b", 1, null);
      assert.equal(await untilAdded(first, 1), 1);
      await first.kill();
      assert.equal(await untilAdded(second, 1), 1);
      assert.equal(await untilAdded(second, 2), 2);
      assert.equal(await subject.stored(), 2);
    },
  },
  {
    name: "what was announced and not done is done once",
    run: (subject) => diesAt(subject, "announced"),
  },
  {
    name: "what was done and not recorded is not done again",
    run: (subject) => diesAt(subject, "performed"),
  },
  {
    name: "an owner whose epoch is over stores nothing, and does not answer",
    async run(subject) {
      const { stopped: stale, heir, done, late } = await overtakenAt(subject, "performed");
      stale.resume();
      assert.equal(await late, null, "the owner of an earlier epoch answered");
      assert.equal(
        await untilAdded(heir, done),
        done,
        "the repeat: the stored answer is that of the present epoch",
      );
      assert.equal(await untilAdded(heir, done + 1), done + 1);
      assert.equal(await subject.stored(), done + 1);
    },
  },
  {
    name: "an owner that was paused beyond its lease does not write, and does not answer, after the takeover",
    async run(subject) {
      const { stopped: paused, heir, done, late } = await overtakenAt(subject, "announced");
      paused.resume();
      assert.equal(await late, null, "the paused owner answered");
      assert.equal(await paused.add(done + 1, ANSWER_MS), null, "the paused owner serves on");
      assert.equal(await subject.stored(), done, "the paused owner's write landed after the takeover");
      assert.equal(await untilAdded(heir, done + 1), done + 1);
    },
  },
];
