import { pino, type Logger } from "pino";
import type { Log } from "./api.js";
import { LogSink, type LogTarget } from "./log-sink.js";

/** Lines below the chosen one are not written. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a process's log needs to know. */
export interface LogOptions {
  readonly level: LogLevel;
  readonly target: LogTarget;
  /** Fields of every line: node name, cluster id. */
  readonly base?: Record<string, unknown>;
  /** Bytes that may wait for a reader before lines are dropped. */
  readonly bytesMax?: number;
}

/** The process's log: JSON lines `{level, time, ...fields, msg}`. */
export interface ProcessLog extends Log {
  /** Lines that were dropped because nobody read them. */
  droppedLines(): number;
  /** Resolves when everything is out or after a short wait. */
  flush(): Promise<void>;
  close(): void;
}

/** Opens the log of this process. */
export function openLog(options: LogOptions): ProcessLog {
  const sink = new LogSink(options.target, options.bytesMax);
  const logger = pino(
    {
      level: options.level,
      base: options.base ?? null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
  return Object.assign(new PinoLog(logger), {
    droppedLines: () => sink.droppedLines,
    flush: () => sink.flush(),
    close: () => sink.close(),
  });
}

class PinoLog implements Log {
  readonly #logger: Logger;
  constructor(logger: Logger) {
    this.#logger = logger;
  }
  debug(fields: object, message: string): void {
    this.#logger.debug(fields, message);
  }
  info(fields: object, message: string): void {
    this.#logger.info(fields, message);
  }
  warn(fields: object, message: string): void {
    this.#logger.warn(fields, message);
  }
  error(fields: object, message: string): void {
    this.#logger.error(fields, message);
  }
  child(fields: object): Log {
    return new PinoLog(this.#logger.child(fields));
  }
}
