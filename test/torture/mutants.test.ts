import assert from "node:assert/strict";
import { filenodeMutants, type FilenodeMutant, withFilenodeMutant } from "../../src/filenode/mutants.js";
import { clearMutants, type MutantName, setMutant } from "../../src/state/mutants.js";
import { GROUPS } from "./groups.js";
import { runCases } from "./run-cases.js";

const SEED = Number(process.env["SEED"] ?? 1);

/** Planted bugs and a case that has to notice each. */
const STATE: readonly (readonly [MutantName, string])[] = [
  ["storedBreakLost", "reconnect-contended 3, overwrite"],
  ["disconnectedUnprotected", "timeout_5"],
  ["principalUnchecked", "reopen6: another principal with every id"],
  ["renameAboveOpen", "rename-dir-open-files"],
  ["deleteMarkLostAtExpiry", "deleteonclose-expire"],
  ["replyNotStored", "reply cache: append sent again"],
  ["replayAfterUse", "replay-multi"],
  ["lockBucketNotStored", "replay_smb3_specification_durable, _multi"],
  ["tombstoneForgotten", "a closed handle: its replay is neither answered nor executed"],
  ["appInstanceVersionIgnored", "WPTS AppInstanceVersion, same"],
  ["storedBreakLost", "reconnect-contended 3, conflict"],
  ["storedBreakLost", "reconnect-contended 7, compatible"],
  ["storedBreakLost", "reconnect-contended 7 with locks, conflict"],
  [
    "storedBreakLost",
    "reconnect-contended, given up: the break that was kept for a contender goes out without it too",
  ],
  ["disconnectedUnprotected", "reconnect-contended-two 3 and 0, compatible"],
  ["storedBreakLost", "reconnect-contended-two 3 and 3, overwrite"],
  ["storedBreakLost", "reconnect-contended-two 3 and 3, conflict"],
  ["breakWithoutWait", "purge-disconnected-rwh-with-rh-open, persistent"],
  [
    "deleteOnCrash",
    "delete_on_close1, 2: the mark of a durable handle goes with it, and deletes nothing when a server dies",
  ],
  [
    "leaseEpochStands",
    "breaking1-3, v2_epoch1-3, lease-epoch: a break under way is delivered again at resume",
  ],
];
const FILENODE: readonly (readonly [FilenodeMutant, string])[] = [
  ["admitStaleSequence", "channel-sequence, replay4: WriteWithInvalidChannelSequence"],
  ["ignoreOthersLocks", "lock-lease, 0: a lock survives, and holds for others meanwhile"],
];

describe("the cases notice planted bugs", function () {
  this.timeout(60_000);
  const cases = Object.values(GROUPS).flat();

  async function notices(name: string): Promise<void> {
    const chosen = cases.filter((one) => one.name === name);
    assert.equal(chosen.length, 1, `there is one case "${name}"`);
    const results = await runCases(chosen, "owner killed", 1, SEED);
    assert.notEqual(results.get(name), null, `"${name}" is content with it (SEED=${SEED})`);
  }

  for (const [mutant, name] of STATE) {
    it(`${mutant}: ${name}`, async () => {
      setMutant(mutant, true);
      try {
        await notices(name);
      } finally {
        clearMutants();
      }
    });
  }

  for (const [mutant, name] of FILENODE) {
    it(`${mutant}: ${name}`, async () => {
      assert.equal(filenodeMutants[mutant], false);
      await withFilenodeMutant(mutant, () => notices(name));
    });
  }

  it("without a planted bug the same cases are content, one by one", async () => {
    for (const [, name] of [...STATE, ...FILENODE]) {
      const chosen = cases.filter((one) => one.name === name);
      assert.equal((await runCases(chosen, "owner killed", 1, SEED)).get(name), null, name);
    }
  });
});
