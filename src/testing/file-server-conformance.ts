import assert from "node:assert/strict";

/**
 * Where a server under test ends or stops itself when it is told to: `announced`: its intent is in the log and the effect
 * is not done; `performed`: the effect is done, and neither answer nor outcome is in the log.
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
 * Asks a server that is to stop itself in this request, and again while it only refuses. Resolves when it has stopped,
 * with what it will say once it goes on.
 */
async function untilStopped(
  server: RunningServer,
  request: number,
): Promise<{ readonly late: Promise<number | null> }> {
  let stopped = false;
  const asked = async (): Promise<number | null> => {
    for (;;) {
      const value = await server.add(request, LATE_ANSWER_MS);
      if (value !== null || stopped) return value;
    }
  };
  const late = asked();
  const before = late.then((value) =>
    stopped ? undefined : assert.fail(`request ${request} was answered (${value}) without a stop on the way`),
  );
  await Promise.race([server.stopped(), before]);
  stopped = true;
  return { late };
}

async function diesAt(subject: FileServerUnderTest, point: StopPoint): Promise<void> {
  const steady = await subject.start("a", 1, null);
  assert.equal(await untilAdded(steady, 1), 1);
  await steady.kill();
  const first = await subject.start("a", 2, point);
  const { late } = await untilStopped(first, 2);
  const second = await subject.start("b", 1, null);
  await first.kill();
  assert.equal(await late, null, "the server answered beyond the point at which it stopped");
  assert.equal(await untilAdded(second, 2), 2, "the repeat of the lost request");
  assert.equal(await subject.stored(), 2, "on the storage after the repeat");
  assert.equal(await untilAdded(second, 3), 3, "the next request");
  assert.equal(await subject.stored(), 3, "on the storage after the next request");
}

/** An owner that has stopped itself in request 2, and its heir, which has done 2 and 3 meanwhile. `late`: its own answer to 2. */
async function overtakenAt(
  subject: FileServerUnderTest,
  point: StopPoint,
): Promise<{ stopped: RunningServer; heir: RunningServer; late: Promise<number | null> }> {
  const steady = await subject.start("a", 1, null);
  assert.equal(await untilAdded(steady, 1), 1);
  await steady.kill();
  const stopped = await subject.start("a", 2, point);
  const { late } = await untilStopped(stopped, 2);
  const heir = await subject.start("b", 1, null);
  assert.equal(await untilAdded(heir, 2), 2);
  assert.equal(await untilAdded(heir, 3), 3);
  return { stopped, heir, late };
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
      const { stopped: stale, heir, late } = await overtakenAt(subject, "performed");
      stale.resume();
      assert.equal(await late, null, "the owner of an earlier epoch answered");
      assert.equal(
        await untilAdded(heir, 3),
        3,
        "the repeat: the stored answer is that of the present epoch",
      );
      assert.equal(await untilAdded(heir, 4), 4);
      assert.equal(await subject.stored(), 4);
    },
  },
  {
    name: "an owner that was paused beyond its lease does not write, and does not answer, after the takeover",
    async run(subject) {
      const { stopped: paused, heir, late } = await overtakenAt(subject, "announced");
      paused.resume();
      assert.equal(await late, null, "the paused owner answered");
      assert.equal(await paused.add(4, ANSWER_MS), null, "the paused owner serves on");
      assert.equal(await subject.stored(), 3, "the paused owner's write landed after the takeover");
      assert.equal(await untilAdded(heir, 4), 4);
    },
  },
];
