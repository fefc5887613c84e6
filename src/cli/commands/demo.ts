import { HoldfastError } from "../../wire/errors.js";
import { makeContext, type CliContext } from "../context.js";
import { Claims } from "../demo/claims.js";
import { DemoCluster } from "../demo/cluster.js";
import { playStory, type Pause } from "../demo/story.js";
import { EXIT } from "../exit-codes.js";
import { duration } from "../format.js";
import { renderTable } from "../output.js";
import { failovers } from "./failovers.js";

/** `holdfast demo`: a failover story on real files and processes. Non-zero when any claim in it is false. */
export async function demo(context: CliContext): Promise<number> {
  const claims = new Claims((line) => context.out(line));
  claims.tell("starting three nodes in a temporary folder");
  // A node's own words matter only when something goes wrong; its log has them.
  const cluster = await DemoCluster.start(() => {});
  const interrupted = () => void cluster.destroy().finally(() => process.exit(130));
  process.once("SIGINT", interrupted);
  try {
    let pauses: Pause[] = [];
    try {
      pauses = await playStory(cluster, claims);
    } catch (thrown) {
      const error = HoldfastError.from(thrown);
      claims.check("the story is played to its end", false, `${error.codeName}: ${error.message}`);
    }
    context.out("\nAs the client lived it:");
    context.out(
      renderTable<Pause>(
        [
          { title: "KILLED", show: (row) => row.killed },
          { title: "ROLE", show: (row) => row.role },
          { title: "PAUSE", right: true, show: (row) => duration(row.pauseMs) },
          { title: "OWNER THEN", show: (row) => row.owner },
          { title: "EPOCH", right: true, show: (row) => String(row.epoch) },
        ],
        pauses,
        false,
      ),
    );
    context.out("\nAs the cluster recorded it (holdfast failovers):");
    await failovers(makeContext({ endpoints: cluster.endpoints.join(",") }));
  } finally {
    process.removeListener("SIGINT", interrupted);
    await cluster.destroy();
  }
  context.out(`\n${claims.total - claims.failures} of ${claims.total} claims true`);
  return claims.failures === 0 && claims.total > 0 ? EXIT.ok : EXIT.failure;
}
