import { spawn } from "node:child_process";
import type { Fence } from "../coordinator/index.js";
import type { Log } from "../runtime/index.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** How a fence command is run. */
export interface FenceCommandOptions {
  /** Program and arguments; `{node}` and `{incarnation}` are replaced in each. No shell is involved. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
  readonly log: Log;
}

/** Of what the command printed, so much is kept for the record. */
const OUTPUT_MAX = 200;

/**
 * A fence outside of Holdfast: a command (kill, power switch, cloud call) whose exit code 0 confirms that the node can do
 * no more harm. It is run before the node is declared down; while it fails nobody takes the node's sessions over.
 */
export function fenceCommand(options: FenceCommandOptions): Fence {
  return (node, incarnation) => {
    const [program = "", ...args] = options.command.map((part) =>
      part.replaceAll("{node}", node).replaceAll("{incarnation}", String(incarnation)),
    );
    return run(program, args, options);
  };
}

/** What a node knows of its own life. */
export interface OwnLife {
  readonly node: string;
  /** The first incarnation that this process has registered under, or tries to; infinite before. */
  firstIncarnation(): number;
}

/**
 * The same fence, but not against the process that asks. An incarnation of its own node from before its time has ended for
 * certain: its process held the data folder's lock, which this one has now. Asked about it, the command would kill the
 * leader that wants to tell the others, and after a stop of all nodes each new leader in turn.
 */
export function exceptOwnPast(fence: Fence, own: OwnLife): Fence {
  return (node, incarnation) => {
    if (node !== own.node || incarnation >= own.firstIncarnation()) return fence(node, incarnation);
    return Promise.resolve(`${node}/${incarnation} ended before this process took the data folder`);
  };
}

function run(program: string, args: readonly string[], options: FenceCommandOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const refuse = (why: string) => {
      options.log.error({ program, args, why }, "the fence command did not confirm the death of a node");
      reject(
        new HoldfastError(ErrorCode.UNSUCCESSFUL, `fence command ${program}: ${why}`, {
          next: "make the command work, or make sure by hand that the node is dead and remove it",
        }),
      );
    };
    // A group of its own: what the command has started ends with it at the timeout.
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    const keep = (data: Buffer) => {
      if (output.length < OUTPUT_MAX) output += data.toString().slice(0, OUTPUT_MAX - output.length);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const timer = setTimeout(() => {
      refuse(`no end within ${options.timeoutMs} ms`);
      if (child.pid !== undefined) endGroup(child.pid);
    }, options.timeoutMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      refuse(error.message);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const said = output.trim().replaceAll("\n", " ");
      if (code === 0) resolve(`${program}: ${said || "exit code 0"}`);
      else refuse(`ended with ${signal ?? `exit code ${code}`}${said === "" ? "" : `: ${said}`}`);
    });
  });
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself meanwhile.
  }
}
