import { Presets, SingleBar } from "cli-progress";
import { printable, size } from "./format.js";

/** A shorter transfer shows no bar. */
const BYTES_MIN = 4 * 1024 * 1024;

/** Where a bar is drawn, as `process.stderr` is. */
export type ProgressStream = NodeJS.WritableStream & { readonly isTTY?: boolean };

/** What is transferred; `total` null: nobody knows how much it will be. */
export interface ProgressOf {
  readonly name: string;
  readonly total: number | null;
}

/**
 * A progress bar: only for long transfers, only on a terminal that can redraw a line. While it shows, the cursor is hidden
 * and long lines are cut, so it must be ended however the transfer ends, an interrupt included; its timer keeps the process.
 */
export class Progress {
  private readonly bar: SingleBar | null;

  constructor(stream: ProgressStream, { name, total }: ProgressOf) {
    const shown =
      stream.isTTY === true && process.env["TERM"] !== "dumb" && total !== null && total >= BYTES_MIN;
    this.bar = shown
      ? new SingleBar(
          {
            stream,
            // Figures first: what a narrow terminal cuts off is the bar's end and the name.
            format: `{percentage}%  {done} of ${size(total)}  {duration_formatted}  {bar}  ${plain(name)}`,
            autopadding: true,
            clearOnComplete: true,
            hideCursor: true,
            barsize: 30,
          },
          Presets.shades_classic,
        )
      : null;
    this.bar?.start(total ?? 0, 0, { done: size(0) });
  }

  /** So many bytes are through. */
  at(bytes: number): void {
    this.bar?.update(bytes, { done: size(bytes) });
  }

  /** Takes the bar away and gives the terminal back as it was; again is nothing. */
  end(): void {
    this.bar?.stop();
  }
}

/** A name that neither moves the cursor nor stands for one of the bar's own fields. */
function plain(name: string): string {
  return printable(name).replaceAll(/[{}]/g, "?");
}
