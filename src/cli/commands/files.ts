import { createHash } from "node:crypto";
import { createReadStream, rmSync } from "node:fs";
import { open as openFile, rename, rm, stat as statLocal } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { connect, ErrorCode, HoldfastError, type Session, type v1 } from "../../client/index.js";
import { usageError, type CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { duration, num, size, time } from "../format.js";
import { printDocument, printListing, type Column } from "../output.js";
import { Progress } from "../progress.js";

/** Takes back at an interrupt what would be left behind; answers how to forget it. */
type OnInterrupt = (undo: () => void) => () => void;

/** What ends a command from outside, with the number that its exit code has above 128. */
const INTERRUPTS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** Runs with a session and closes it whatever happens. */
async function withSession<T>(
  context: CliContext,
  run: (session: Session, onInterrupt: OnInterrupt) => Promise<T>,
): Promise<T> {
  const session = await connect({
    nodes: context.endpoints,
    ...(context.tls === undefined ? {} : { tls: context.tls }),
    clientName: `holdfast-cli/${process.pid}`,
    // For finding a node: a cluster that is not there shall not take minutes to say so. Calls have their own.
    deadlineMs: context.timeoutMs,
  });
  const undos = new Set<() => void>();
  let interrupted = false;
  const stop = (signal: keyof typeof INTERRUPTS) => {
    // A second one waits for nothing.
    if (interrupted) process.exit(128 + INTERRUPTS[signal]);
    interrupted = true;
    for (const undo of undos) undo();
    context.say("interrupted");
    // Handles and locks go at once instead of at the session's timeout.
    void session.close({ deadlineMs: 5_000 }).finally(() => process.exit(128 + INTERRUPTS[signal]));
  };
  const signals = Object.keys(INTERRUPTS) as (keyof typeof INTERRUPTS)[];
  for (const signal of signals) process.on(signal, stop);
  try {
    return await run(session, (undo) => {
      undos.add(undo);
      return () => void undos.delete(undo);
    });
  } finally {
    // What the interrupt has broken off is no error to tell; the process ends with the session.
    if (interrupted) await new Promise<never>(() => undefined);
    for (const signal of signals) process.removeListener(signal, stop);
    await session.close({ deadlineMs: 5_000 });
  }
}

/** "demo:/a/b", with the share's root as "demo:/". */
function remote(text: string): string {
  if (!/^[^:/]+:/.test(text)) {
    throw usageError(`${text} names no share`, "write share:/path, as in demo:/README.md");
  }
  return text;
}

/** A path that ends in a slash takes the name of the source. */
function inFolder(target: string, source: string): string {
  return target.endsWith("/") || /^[^:/]+:$/.test(target)
    ? `${target.endsWith(":") ? `${target}/` : target}${basename(source)}`
    : target;
}

interface Transferred {
  readonly bytes: number;
  readonly sha256: string;
  readonly tookMs: number;
  readonly pauses: readonly number[];
}

function report(context: CliContext, verb: string, from: string, to: string, done: Transferred): void {
  if (context.output === "json" || context.output === "yaml") {
    const { bytes, sha256, tookMs, pauses } = done;
    printDocument(context, { kind: "Transfer", verb, from, to, bytes, sha256, tookMs, pausesMs: pauses });
    return;
  }
  const paused =
    done.pauses.length === 0
      ? ""
      : `, ${done.pauses.length === 1 ? "1 pause" : `${done.pauses.length} pauses`}: ${done.pauses.map(duration).join(", ")}`;
  context.out(`${from} -> ${to}  ${size(done.bytes)} in ${duration(done.tookMs)}${paused}`);
}

/** Counts bytes, hashes them and notes how long the cluster let the transfer wait. */
class Meter {
  readonly hash = createHash("sha256");
  readonly pauses: number[] = [];
  bytes = 0;
  private readonly began = performance.now();

  constructor(session: Session) {
    session.on("reconnected", ({ pauseMs }) => this.pauses.push(Math.round(pauseMs)));
  }

  take(piece: Uint8Array): void {
    this.bytes += piece.length;
    this.hash.update(piece);
  }

  done(): Transferred {
    return {
      bytes: this.bytes,
      sha256: this.hash.digest("hex"),
      tookMs: Math.round(performance.now() - this.began),
      pauses: this.pauses,
    };
  }
}

/** `holdfast files put LOCAL share:/path`; "-" reads standard input. */
export async function put(context: CliContext, local: string, target: string): Promise<number> {
  const to = inFolder(remote(target), local === "-" ? "stdin" : local);
  const total = local === "-" ? null : await localSize(local);
  return withSession(context, async (session, onInterrupt) => {
    const meter = new Meter(session);
    const progress = progressOf(context, basename(to), total);
    let told = false;
    // An error tells of one write, and an interrupt of none. From the first piece on the target's content is overwritten.
    const brokenOff = () => {
      progress.end();
      if (meter.bytes > 0 && !told) context.say(`${to} has only a part of ${local}`);
      told = true;
    };
    onInterrupt(brokenOff);
    const source = local === "-" ? process.stdin : createReadStream(local, { highWaterMark: 1024 * 1024 });
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const piece of source as AsyncIterable<Buffer>) {
        meter.take(piece);
        yield piece;
      }
    }
    try {
      await session.writeFile(to, counted(), {
        deadlineMs: context.fileTimeoutMs,
        onProgress: (bytes) => progress.at(bytes),
      });
    } catch (error) {
      brokenOff();
      throw error;
    }
    progress.end();
    report(context, "put", local, to, meter.done());
    return EXIT.ok;
  });
}

async function localSize(file: string): Promise<number> {
  try {
    const stats = await statLocal(file);
    if (stats.isDirectory()) throw usageError(`${file} is a directory`, "put files one by one");
    return stats.size;
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw usageError(`${file} cannot be read: ${(error as Error).message}`, "check the path");
  }
}

/** `holdfast files get share:/path [LOCAL]`: the file appears under its name only when it is whole. */
export async function get(context: CliContext, source: string, local: string): Promise<number> {
  const from = remote(source);
  const to = await localTarget(local, from);
  return withSession(context, async (session, onInterrupt) => {
    const meter = new Meter(session);
    const info = await session.stat(from);
    const part = join(dirname(to), `.${basename(to)}.${process.pid}.part`);
    const file = await openLocal(part, to);
    const progress = progressOf(context, basename(from), num(info.size));
    const whole = onInterrupt(() => {
      progress.end();
      rmSync(part, { force: true });
    });
    try {
      for await (const piece of session.readFile(from, { deadlineMs: context.fileTimeoutMs })) {
        meter.take(piece);
        await file.writeFile(piece);
        progress.at(meter.bytes);
      }
      await file.sync();
      await file.close();
      await rename(part, to);
      whole();
    } catch (error) {
      await file.close().catch(() => undefined);
      await rm(part, { force: true });
      throw error;
    } finally {
      progress.end();
    }
    report(context, "get", from, to, meter.done());
    return EXIT.ok;
  });
}

/** Shown beside tables only: who asks for a document is a program. */
function progressOf(context: CliContext, name: string, total: number | null): Progress {
  return new Progress(process.stderr, { name, total: context.output === "table" ? total : null });
}

async function openLocal(part: string, to: string) {
  try {
    return await openFile(part, "w");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "its folder does not exist" : message;
    throw usageError(`${to} cannot be written: ${why}`, "choose another local path");
  }
}

async function localTarget(local: string, from: string): Promise<string> {
  const isFolder = await statLocal(local).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  return isFolder ? join(local, basename(from)) : local;
}

/** `holdfast files cat share:/path`: bytes on stdout and nothing else. */
export async function cat(context: CliContext, source: string): Promise<number> {
  return withSession(context, async (session) => {
    for await (const piece of session.readFile(remote(source), { deadlineMs: context.fileTimeoutMs })) {
      if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once("drain", resolve));
    }
    return EXIT.ok;
  });
}

interface FileRow {
  name: string;
  type: "file" | "directory";
  size: number;
  modified: string | null;
  created: string | null;
  fileId: string;
}

const COLUMNS: readonly Column<FileRow>[] = [
  { title: "TYPE", show: (row) => row.type },
  { title: "SIZE", right: true, show: (row) => (row.type === "directory" ? "-" : String(row.size)) },
  { title: "MODIFIED", show: (row) => row.modified ?? "" },
  { title: "NAME", show: (row) => row.name },
  { title: "CREATED", wide: true, show: (row) => row.created ?? "" },
  { title: "FILE ID", wide: true, show: (row) => row.fileId },
];

function toRow(info: v1.IFileInfo, name = info.name ?? ""): FileRow {
  return {
    name,
    type: info.directory === true ? "directory" : "file",
    size: num(info.size),
    modified: time(info.modifiedMs),
    created: time(info.createdMs),
    fileId: info.fileId ?? "",
  };
}

/** `holdfast files ls [share:/folder]`; without a share, the shares. */
export async function ls(context: CliContext, folder: string | undefined): Promise<number> {
  return withSession(context, async (session) => {
    if (folder === undefined) {
      printListing(context, {
        kind: "ShareList",
        columns: [{ title: "SHARE", show: (row: { share: string }) => `${row.share}:/` }],
        rows: session.shares.map((share) => ({ share })),
      });
      return EXIT.ok;
    }
    const rows: FileRow[] = [];
    for await (const info of session.list(remote(folder))) rows.push(toRow(info));
    printListing(context, { kind: "FileList", columns: COLUMNS, rows, extra: { folder }, empty: "empty" });
    return EXIT.ok;
  });
}

/** `holdfast files stat share:/path`. */
export async function stat(context: CliContext, file: string): Promise<number> {
  return withSession(context, async (session) => {
    const row = toRow(await session.stat(remote(file)), file);
    printListing(context, { kind: "File", columns: COLUMNS, rows: [row] });
    return EXIT.ok;
  });
}

/** `holdfast files rm share:/path`; an empty directory with -d. */
export async function remove(context: CliContext, file: string, directory: boolean): Promise<number> {
  return withSession(context, async (session) => {
    try {
      await session.remove(remote(file), { directory });
    } catch (error) {
      if (error instanceof HoldfastError && error.code === ErrorCode.FILE_IS_A_DIRECTORY) {
        throw new HoldfastError(error.code, error.message, { next: `holdfast files rm -d ${file}` });
      }
      throw error;
    }
    return EXIT.ok;
  });
}

/** `holdfast files mv share:/from share:/to`. */
export async function move(context: CliContext, from: string, to: string, replace: boolean): Promise<number> {
  return withSession(context, async (session) => {
    await session.rename(remote(from), inFolder(remote(to), from), { replace });
    return EXIT.ok;
  });
}

/** `holdfast files mkdir share:/folder`. */
export async function mkdir(context: CliContext, folder: string): Promise<number> {
  return withSession(context, async (session) => {
    await session.mkdir(remote(folder));
    return EXIT.ok;
  });
}
