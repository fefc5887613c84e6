import { Changer, type ChangeResult } from "../../src/raft/conf/changer.js";
import { type Config, describeConfig, EMPTY_CONFIG } from "../../src/raft/conf/config.js";
import { NO_LIMIT, parseChanges } from "../../src/raft/index.js";
import { Tracker } from "../../src/raft/progress/tracker.js";
import type { TestCase } from "./datadriven.js";
import { describeTracker } from "./print.js";

/** The state that the cases of one confchange file share. */
export class ConfChangeDriver {
  private config: Config = EMPTY_CONFIG;
  private tracker = new Tracker();
  private lastIndex = 0;

  /** Runs one case; answers its output. The log grows by one entry with each. */
  run(test: TestCase): string {
    try {
      return this.change(test);
    } finally {
      this.lastIndex++;
    }
  }

  private change(test: TestCase): string {
    const changes = parseChanges(test.input);
    const settings = { inflightMessagesMax: 10, inflightBytesMax: NO_LIMIT, session: 0 };
    const changer = new Changer(this.config, this.tracker, this.lastIndex, settings);
    let result: ChangeResult;
    switch (test.command) {
      case "simple":
        result = changer.simple(changes);
        break;
      case "enter-joint": {
        const autoLeave = test.args.find((arg) => arg.key === "autoleave")?.values[0] === "true";
        result = changer.enterJoint(autoLeave, changes);
        break;
      }
      case "leave-joint":
        if (changes.length > 0) return "this command takes no input\n";
        result = changer.leaveJoint();
        break;
      default:
        return "unknown command\n";
    }
    if (!result.ok) return `${result.error}\n`;
    this.config = result.config;
    this.tracker = result.tracker;
    return `${describeConfig(this.config)}\n${describeTracker(this.tracker)}`;
  }
}
