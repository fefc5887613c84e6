import { Presets, SingleBar } from "cli-progress";
import type { CliContext } from "./context.js";
import { size } from "./format.js";

/** A shorter transfer shows no bar. */
const BYTES_MIN = 4 * 1024 * 1024;

/** A progress bar on stderr: only for long transfers, only on a terminal. */
export class Progress {
  private readonly bar: SingleBar | null;

  constructor(context: CliContext, name: string, total: number | null) {
    const shown =
      process.stderr.isTTY === true && total !== null && total >= BYTES_MIN && context.output === "table";
    this.bar = shown
      ? new SingleBar(
          {
            stream: process.stderr,
            format: `${name} {bar} {percentage}%  {done} of ${size(total)}  {duration_formatted}`,
            clearOnComplete: true,
            hideCursor: true,
            barsize: 30,
          },
          Presets.shades_classic,
        )
      : null;
    this.bar?.start(total ?? 0, 0, { done: "0 B" });
  }

  at(bytes: number): void {
    this.bar?.update(bytes, { done: size(bytes) });
  }

  end(): void {
    this.bar?.stop();
  }
}
