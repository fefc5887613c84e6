import fc from "fast-check";
import { ATTRIBUTES, READ, WRITE } from "../harness.js";
import type { LockStep } from "./programs.js";

/** Clients, files and nodes of a program. All clients are at one node: what locks ask of others is the other model's. */
export const CLIENTS = 3;
export const PATHS = ["a", "b"];

/** One step of a random program. `pick` chooses among the client's handles; a step that cannot be is left out. */
export type Step =
  | {
      readonly op: "open";
      client: number;
      path: number;
      access: number;
      share: number;
      key: number;
      asked: number;
      timeoutMs: number;
    }
  | (LockStep & { mayWait: boolean })
  | { readonly op: "write" | "close" | "reconnect" | "replay" | "early"; client: number; pick: number }
  | { readonly op: "ack"; client: number; path: number; key: number; state: number }
  | { readonly op: "disconnect" | "connect"; client: number }
  | { readonly op: "pass"; ms: number }
  | { readonly op: "kill" | "restart" };

const client = fc.nat(CLIENTS - 1);
const pick = fc.nat(20);
const path = fc.nat(PATHS.length - 1);
/** Lease key: none, or one of two. */
const key = fc.nat(2);

function of<const Op extends Step["op"]>(...ops: Op[]): fc.Arbitrary<Op> {
  return fc.constantFrom(...ops);
}

/** Steps by how often they come. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: of("open"),
      client,
      path,
      access: fc.constantFrom(READ, WRITE, READ | WRITE, READ | WRITE, ATTRIBUTES),
      share: fc.constantFrom(7, 7, 7, 3, 1, 0),
      key,
      asked: fc.constantFrom(7, 7, 3, 3, 5, 1, 0, 6),
      timeoutMs: fc.constantFrom(10_000, 20_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: of("lock", "lock", "unlock"),
      client,
      pick,
      offset: fc.nat(4),
      length: fc.nat(3),
      exclusive: fc.boolean(),
      mayWait: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ op: of("write", "close", "reconnect", "replay"), client, pick }) },
  { weight: 1, arbitrary: fc.record({ op: of("early"), client, pick }) },
  { weight: 7, arbitrary: fc.record({ op: of("ack"), client, path, key, state: fc.nat(7) }) },
  { weight: 4, arbitrary: fc.record({ op: of("disconnect", "connect"), client }) },
  { weight: 2, arbitrary: fc.record({ op: of("pass"), ms: fc.constantFrom(3_000, 12_000, 61_000) }) },
  { weight: 2, arbitrary: fc.record({ op: of("kill", "restart") }) },
);
