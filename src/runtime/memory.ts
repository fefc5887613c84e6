import type { Log, Meter } from "./api.js";

/** Says nothing. */
export const nullLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => nullLog,
};

/** One line as a test wants to see it. */
export interface MemoryLogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: object;
  readonly message: string;
}

/** Keeps lines in `lines`, for assertions. */
export function memoryLog(lines: MemoryLogLine[] = [], base: object = {}): Log & { lines: MemoryLogLine[] } {
  const add = (level: MemoryLogLine["level"]) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...base, ...fields }, message });
  };
  return {
    lines,
    debug: add("debug"),
    info: add("info"),
    warn: add("warn"),
    error: add("error"),
    child: (fields) => memoryLog(lines, { ...base, ...fields }),
  };
}

/** Keeps measurements in memory, for assertions. Keys are `name` or `name{label=value,...}`. */
export interface MemoryMeter extends Meter {
  readonly counters: Map<string, number>;
  readonly gauges: Map<string, number>;
  readonly observations: Map<string, number[]>;
  /** A counter's value; 0 when it was never counted. */
  counter(name: string, labels?: Record<string, string>): number;
}

/** A meter whose figures tests can read. */
export function memoryMeter(): MemoryMeter {
  const counters = new Map<string, number>();
  const gauges = new Map<string, number>();
  const observations = new Map<string, number[]>();
  return {
    counters,
    gauges,
    observations,
    counter: (name, labels) => counters.get(keyOf(name, labels)) ?? 0,
    count(name, by = 1, labels) {
      const key = keyOf(name, labels);
      counters.set(key, (counters.get(key) ?? 0) + by);
    },
    gauge(name, value, labels) {
      gauges.set(keyOf(name, labels), value);
    },
    observe(name, value, labels) {
      const key = keyOf(name, labels);
      const list = observations.get(key);
      if (list === undefined) observations.set(key, [value]);
      else list.push(value);
    },
  };
}

function keyOf(name: string, labels: Record<string, string> | undefined): string {
  if (labels === undefined) return name;
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return `${name}{${pairs.join(",")}}`;
}

/** Measures nothing. */
export const nullMeter: Meter = {
  count() {},
  gauge() {},
  observe() {},
};
