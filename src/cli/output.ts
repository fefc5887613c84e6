import Table from "cli-table3";
import { stringify } from "yaml";
import type { CliContext } from "./context.js";
import { printable } from "./format.js";

/** Of every JSON or YAML document; raised when a key changes its meaning or goes. */
export const SCHEMA_VERSION = 1;

/** One column: its heading and what it shows of a row. `wide` ones show only with -o wide. */
export interface Column<Row> {
  readonly title: string;
  readonly wide?: boolean;
  readonly right?: boolean;
  show(row: Row): string;
}

/** A list of records: columns for people, rows with stable keys for programs. */
export interface Listing<Row extends object> {
  readonly kind: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  /** Fields of the document beside `items`. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Said on stderr when there are no rows. */
  readonly empty?: string;
}

/** Prints a list in the format that was asked for. */
export function printListing<Row extends object>(context: CliContext, listing: Listing<Row>): void {
  if (context.output === "json" || context.output === "yaml") {
    printDocument(context, { kind: listing.kind, ...listing.extra, items: listing.rows });
    return;
  }
  context.out(renderTable(listing.columns, listing.rows, context.output === "wide"));
  if (listing.rows.length === 0 && listing.empty !== undefined) context.say(listing.empty);
}

/** Prints one document for programs. */
export function printDocument(context: CliContext, document: Readonly<Record<string, unknown>>): void {
  const full = { schemaVersion: SCHEMA_VERSION, ...document };
  context.out(context.output === "yaml" ? stringify(full) : JSON.stringify(full, null, 2));
}

/** A table without lines: headings in capitals, two spaces between columns, as scripts and eyes expect it. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  wide: boolean,
): string {
  const shown = columns.filter((column) => wide || column.wide !== true);
  const table = new Table({
    head: shown.map((column) => column.title),
    colAligns: shown.map((column) => (column.right === true ? "right" : "left")),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 2, compact: true },
    chars: NO_LINES,
  });
  for (const row of rows) table.push(shown.map((column) => printable(column.show(row)) || "-"));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

const NO_LINES = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};
