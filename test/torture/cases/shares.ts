import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { R, READ, RH, RW, RWH } from "../client.js";
import type { Case } from "../run-cases.js";
import { lease } from "./persistent-open.js";

const K = v1.HandleKind;
const LEVELS = [0, R, RH, RW, RWH] as const;

/** A kind of share: what a lease may be on it, and whether handles may be persistent. */
interface ShareKind {
  /** How the source calls it. */
  readonly suffix: string;
  readonly share: string;
  readonly available: boolean;
  readonly mask: number;
}

/** "demo" is what a cluster starts with: continuously available and scale-out. */
const SHARES: readonly ShareKind[] = [
  { suffix: "", share: "plain", available: false, mask: RWH },
  { suffix: "-fo-ca", share: "ca", available: true, mask: RWH },
  { suffix: "-fo-ca, at most RH", share: "masked", available: true, mask: RH },
  { suffix: "-so", share: "so", available: false, mask: R },
  { suffix: "-so-ca", share: "demo", available: true, mask: R },
];

function kindOf(available: boolean, directory: boolean, granted: number): v1.HandleKind {
  if (available) return K.PERSISTENT;
  return !directory && (granted & 2) !== 0 ? K.DURABLE : K.PLAIN;
}

/** Kind and lease that a share grants, over the failover, for a file or a directory at each level. */
function levels(directory: boolean): Case[] {
  return SHARES.flatMap(({ suffix, share, available, mask }) =>
    LEVELS.map((level): Case => {
      const name = `${directory ? "directory-" : ""}leaselevels${suffix}, ${level}`;
      return {
        name,
        run: async (world, lose) => {
          const a = await world.holder(name);
          const b = await world.other(`${name} b`);
          if (directory) await b.must({ makeDirectory: { share, path: name } });
          const open: Partial<v1.IOpenRequest> = {
            share,
            ...(directory
              ? { wantDirectory: true, desiredAccess: READ, disposition: v1.Disposition.OPEN }
              : {}),
            ...(level === 0 ? {} : lease(name, level)),
          };
          const held = await a.hold(name, open);
          const granted = level & mask & (directory ? RH : RWH);
          const kind = kindOf(available, directory, granted);
          assert.equal(K[held.reply.kind ?? 0], K[kind]);
          assert.equal(held.reply.lease?.state ?? 0, granted);
          await lose();
          const resumed = await a.backFor(held);
          if (resumed === null) {
            assert.notEqual(kind, K.PERSISTENT);
            const again = (await b.must({ open: b.openRequest(name, open) })).open;
            assert.equal(again?.lease?.state ?? 0, granted, "nobody is in the way");
            return;
          }
          assert.equal(resumed.lease?.state ?? 0, granted, "a failover breaks nothing");
          assert.equal(resumed.lease?.epoch, held.reply.lease?.epoch);
        },
      };
    }),
  );
}

/** On a scale-out share nobody holds more than R, so that a holder that is away lets nobody in (semantics.md C5). */
const scaleOut = LEVELS.map((level): Case => {
  const name = `scale-out, ${level}: whoever contends with a holder that is away gets FILE_NOT_AVAILABLE`;
  return {
    name,
    run: async (world, lose) => {
      const a = await world.holder(name);
      const b = await world.other(`${name} b`);
      const held = await a.hold(name, { share: "demo", ...(level === 0 ? {} : lease(name, level)) });
      await lose();
      const open = b.openRequest(name, { share: "demo" });
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, { open });
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, {
        open: { ...open, disposition: v1.Disposition.OVERWRITE },
      });
      await a.backFor(held);
      await b.must({ open });
    },
  };
});

export const shareCases: readonly Case[] = [...levels(false), ...levels(true), ...scaleOut];
