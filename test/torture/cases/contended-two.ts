import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { ATTRIBUTES, guid, type Held, R, READ, RH, RWH, WRITE } from "../client.js";
import type { Case } from "../run-cases.js";
import { breakIsKept, lease } from "./persistent-open.js";

type Contender = "attribute" | "compatible" | "overwrite" | "conflict";
type Answer = "granted" | "FNA" | "waits";

/**
 * Two holders that are away. Beside another nobody has W, and a lock of one takes the other's lease: a pair is any two of
 * none, R and RH, without locks.
 */
const PAIRS: readonly (readonly [first: number, second: number])[] = [
  [0, 0],
  [0, R],
  [R, R],
  [RH, 0],
  [RH, R],
  [RH, RH],
];

/** What each contender gets where every holder has H; else it is FILE_NOT_AVAILABLE but for attributes. */
const OPEN: Record<Contender, { answer: Answer; stored?: number }> = {
  attribute: { answer: "granted" },
  compatible: { answer: "granted" },
  overwrite: { answer: "granted", stored: 0 },
  conflict: { answer: "waits", stored: R },
};

function expected([first, second]: (typeof PAIRS)[number], contender: Contender) {
  if (contender === "attribute" || (first === RH && second === RH)) return OPEN[contender];
  return { answer: "FNA" as const };
}

/** reconnect-contended-two: what a contender gets is the worst of what either holder alone would have it get. */
export const contendedTwoCases: readonly Case[] = PAIRS.flatMap((pair) =>
  (Object.keys(OPEN) as Contender[]).map((contender): Case => {
    const [first, second] = pair;
    const name = `reconnect-contended-two ${first} and ${second}, ${contender}`;
    const { answer, stored }: { answer: Answer; stored?: number } = expected(pair, contender);
    return {
      name,
      run: async (world, lose) => {
        const clients = [await world.holder(`${name} 1`), await world.holder(`${name} 2`)];
        const c = await world.other(`${name} c`);
        const levels = [first, second];
        const helds: Held[] = [];
        for (const [i, a] of clients.entries()) {
          const level = levels[i] as number;
          const open: Partial<v1.IOpenRequest> = {
            desiredAccess: READ,
            ...(level === 0 ? {} : lease(`${name} ${i}`, level)),
            ...(contender === "conflict" ? { shareMode: { read: true } } : {}),
          };
          const held = await a.hold(name, open);
          assert.equal(held.reply.lease?.state ?? 0, level);
          helds.push(held);
        }
        await lose();
        for (const a of clients) a.notices.length = 0;
        const open: v1.IOpenRequest = {
          ...c.openRequest(name),
          desiredAccess: contender === "attribute" ? ATTRIBUTES : READ | WRITE,
          disposition: contender === "overwrite" ? v1.Disposition.OVERWRITE_IF : v1.Disposition.OPEN,
          ...(contender === "attribute" ? {} : lease(`${name} c`, RWH)),
        };
        let response: v1.IFileResponse | null = null;
        const waiting = c.ask({ open }, { request: c.requestId() }).then((came) => {
          response = came;
          return came;
        });
        if (answer === "waits") {
          await world.pass(500);
          assert.equal(response, null, "it waits for both");
        } else {
          const code = (await waiting).error?.code ?? 0;
          assert.equal(ErrorCode[code], answer === "FNA" ? "FILE_NOT_AVAILABLE" : ErrorCode[0]);
        }
        for (const [i, a] of clients.entries()) await breakIsKept(world, a, guid(`${name} ${i}`), stored);
        for (const [i, a] of clients.entries()) {
          const held = helds[i];
          assert(held);
          assert.equal(
            (await a.backFor(held))?.lease?.state ?? 0,
            levels[i],
            "it keeps what it had until it is told",
          );
          if (stored === undefined) {
            await a.must({ ping: {} });
            assert.equal(a.breaks.length, 0, "no break without a cause");
            continue;
          }
          await world.until("the stored break is delivered", () => a.breaks.length > 0, 5_000);
          assert.deepEqual(
            a.breaks.map(({ current, breakTo }) => [current, breakTo ?? 0]),
            [[levels[i], stored]],
          );
          // The first that keeps its handle decides it; the other is told all the same.
          if (answer === "waits" && i === 0) assert.equal(response, null, "nobody has answered yet");
          await a.must({ ackLease: { key: guid(`${name} ${i}`), state: stored } });
        }
        if (answer === "waits")
          assert.equal(ErrorCode[(await waiting).error?.code ?? 0], "SHARING_VIOLATION");
      },
    };
  }),
);
