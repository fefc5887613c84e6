import type { CallOptions } from "./call.js";
import type { DispositionOption } from "./access.js";
import type { Handle } from "./handle.js";
import type { Session } from "./session.js";

/** How to read a whole file. */
export interface ReadContentOptions extends CallOptions {
  /** Bytes of one piece; default: the most that the server gives. */
  readonly chunkBytes?: number;
  /** Pieces asked for ahead. */
  readonly ahead?: number;
}

/** How to write a whole file. */
export interface WriteContentOptions extends CallOptions {
  readonly chunkBytes?: number;
  /** Pieces on their way at once. */
  readonly ahead?: number;
  /** Default "overwrite-if": creates the file or replaces its content. */
  readonly disposition?: DispositionOption;
  /** Called with the number of bytes that are durable so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** Enough pieces to keep node and disk busy over one round trip; 2 MB at the default piece. */
const AHEAD_DEFAULT = 8;

/** Reads a file in order, with several pieces under way. */
export async function* readContent(
  session: Session,
  file: string,
  options: ReadContentOptions,
): AsyncGenerator<Uint8Array> {
  const handle = await session.open(file, { ...callOptions(options), access: "read", directory: false });
  try {
    yield* pieces(handle, session, options);
  } finally {
    await handle.close(callOptions(options));
  }
}

async function* pieces(
  handle: Handle,
  session: Session,
  options: ReadContentOptions,
): AsyncGenerator<Uint8Array> {
  const chunk = Math.min(options.chunkBytes ?? session.chunkBytesMax, session.chunkBytesMax);
  const ahead = options.ahead ?? AHEAD_DEFAULT;
  const size = handle.info.size ?? 0;
  const window: Promise<Uint8Array>[] = [];
  let asked = 0;
  const ask = () => {
    const piece = handle.read(asked, chunk, callOptions(options));
    // A reader that stops early leaves pieces that nobody awaits.
    piece.catch(() => undefined);
    window.push(piece);
    asked += chunk;
  };
  for (let read = 0; ; ) {
    // Beyond the size of the open the file may have grown: one piece at a time, until one is short.
    while (window.length < ahead && asked < size) ask();
    if (window.length === 0) ask();
    const piece = await (window.shift() as Promise<Uint8Array>);
    if (piece.length > 0) yield piece;
    read += piece.length;
    if (piece.length < chunk) return;
  }
}

/** Writes a file in order, with several pieces under way; durable when it resolves. */
export async function writeContent(
  session: Session,
  file: string,
  source: Uint8Array | string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: WriteContentOptions,
): Promise<number> {
  const handle = await session.open(file, {
    ...callOptions(options),
    disposition: options.disposition ?? "overwrite-if",
    access: "read-write",
  });
  let failed = true;
  try {
    const bytes = await pour(handle, session, source, options);
    await handle.flush(callOptions(options));
    failed = false;
    return bytes;
  } finally {
    const closing = handle.close(callOptions(options));
    // After a failure the first error is the one to tell.
    await (failed ? closing.catch(() => undefined) : closing);
  }
}

async function pour(
  handle: Handle,
  session: Session,
  source: Uint8Array | string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: WriteContentOptions,
): Promise<number> {
  const chunk = Math.min(options.chunkBytes ?? session.chunkBytesMax, session.chunkBytesMax);
  const ahead = options.ahead ?? AHEAD_DEFAULT;
  const window: Promise<number>[] = [];
  let offset = 0;
  let durable = 0;
  const next = async () => {
    durable += await (window.shift() as Promise<number>);
    options.onProgress?.(durable);
  };
  for await (const piece of cut(source, chunk)) {
    const write = handle.write(offset, piece, callOptions(options)).then(() => piece.length);
    write.catch(() => undefined);
    window.push(write);
    offset += piece.length;
    if (window.length >= ahead) await next();
  }
  while (window.length > 0) await next();
  return offset;
}

/** Pieces of exactly `chunk` bytes, the last one shorter, whatever the source's own pieces are. */
async function* cut(
  source: Uint8Array | string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  chunk: number,
): AsyncGenerator<Uint8Array> {
  const whole = typeof source === "string" ? new TextEncoder().encode(source) : source;
  let buffer = new Uint8Array(chunk);
  let filled = 0;
  for await (const piece of whole instanceof Uint8Array ? [whole] : whole) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + chunk - filled);
      buffer.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < chunk) continue;
      yield buffer;
      buffer = new Uint8Array(chunk);
      filled = 0;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}

function callOptions(options: CallOptions): CallOptions {
  const { deadlineMs, signal, waitForAvailable } = options;
  return {
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(signal === undefined ? {} : { signal }),
    ...(waitForAvailable === undefined ? {} : { waitForAvailable }),
  };
}
