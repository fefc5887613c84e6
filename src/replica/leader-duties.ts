import type { Clock, Log } from "../runtime/api.js";
import type { StateMachine } from "../state/index.js";
import type { v1 } from "../wire/index.js";
import type { ClusterTime } from "./cluster-time.js";
import type { ReplicaConfig } from "./config.js";

/** Commands proposed at once when time has made them due. */
const DUE_BATCH_MAX = 200;
/** Version of the state's format that a fresh cluster starts with. */
const FORMAT_VERSION = 1;

/** What the duties need. */
export interface DutyHost {
  readonly config: ReplicaConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly time: ClusterTime;
  machine(): StateMachine;
  /** True at a leader that may propose. */
  ready(): boolean;
  propose(command: v1.ICommand): Promise<v1.ICommandResult>;
}

/**
 * What a ready leader does unasked: writes the first record of a fresh cluster, proposes what time has made due, and
 * keeps cluster time in the log while something waits for it. Every command names the incarnation of what it ends, so
 * one that comes late, from a leader that has been replaced meanwhile, does nothing (field-notes 3.1, 7).
 */
export class LeaderDuties {
  private underWay = false;
  private lastStampedMs = 0;

  constructor(private readonly host: DutyHost) {}

  /** At each tick of a ready leader. */
  tick(): void {
    if (this.underWay) return;
    const command = this.initCommand() ?? this.dueCommand() ?? this.timeCommand();
    if (command === null) return;
    this.underWay = true;
    void this.host.propose(command).then((result) => {
      this.underWay = false;
      if (result.error) this.host.log.debug({ error: result.error }, "a duty of the leader was not done");
      // Clients wait for the rest of a takeover: it goes on at once, not at the next tick.
      else if (continuesTakeover(command) && this.host.ready()) this.tick();
    });
  }

  /** An entry was stamped: an idle log is one in which this has not happened for a while. */
  stamped(): void {
    this.lastStampedMs = this.host.clock.monotonicMs();
  }

  private initCommand(): v1.ICommand | null {
    if ((this.host.machine().cluster().clusterId ?? "") !== "") return null;
    const { clusterId, initialMembers, shares } = this.host.config;
    return {
      initCluster: {
        clusterId,
        formatVersion: FORMAT_VERSION,
        members: [...initialMembers],
        shares: [...shares],
      },
    };
  }

  private dueCommand(): v1.ICommand | null {
    const machine = this.host.machine();
    const now = this.host.time.now(this.host.clock.monotonicMs());
    if (machine.nextDueMs() > now) return null;
    const commands = machine.due(now, DUE_BATCH_MAX);
    if (commands.length === 0) return null;
    return commands.length === 1 ? (commands[0] as v1.ICommand) : { batch: { commands } };
  }

  /** So that a change of leader lengthens deadlines by no more than this interval. */
  private timeCommand(): v1.ICommand | null {
    if (this.host.machine().nextDueMs() === Infinity) return null;
    const idleMs = this.host.clock.monotonicMs() - this.lastStampedMs;
    return idleMs >= this.host.config.advanceTimeMs ? { advanceTime: {} } : null;
  }
}

/** Takeovers come first in what is due. */
function continuesTakeover(command: v1.ICommand): boolean {
  return Boolean((command.batch?.commands?.[0] ?? command).continueTakeover);
}
