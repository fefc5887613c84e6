import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Meter } from "./api.js";

/** Milliseconds from a fast fsync to a client that gave up. */
const DURATION_BUCKETS_MS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

type Labels = Record<string, string>;

/**
 * Metrics for Prometheus. A metric comes into being when it is first named; its labels are those of that first call,
 * and a later call with others is counted as misuse instead of throwing: no measurement may stop a node.
 */
export class PromMeter implements Meter {
  readonly registry = new Registry();
  readonly #prefix: string;
  readonly #help = new Map<string, string>();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #misuse: Counter;

  constructor(prefix = "holdfast_") {
    this.#prefix = prefix;
    this.#misuse = new Counter({
      name: `${prefix}meter_misuse_total`,
      help: "Observations that did not fit the labels or the kind of their metric",
      registers: [this.registry],
    });
  }

  /** Sets the help text of a metric; to be called before its first use. */
  describe(name: string, help: string): void {
    this.#help.set(name, help);
  }

  /** Counters are exported with `_total` at the end, as Prometheus expects. */
  count(name: string, by = 1, labels?: Labels): void {
    try {
      let counter = this.#counters.get(name);
      if (counter === undefined) {
        counter = new Counter(this.#options(name.endsWith("_total") ? name : `${name}_total`, name, labels));
        this.#counters.set(name, counter);
      }
      if (labels === undefined) counter.inc(by);
      else counter.inc(labels, by);
    } catch {
      this.#misuse.inc();
    }
  }

  gauge(name: string, value: number, labels?: Labels): void {
    try {
      let gauge = this.#gauges.get(name);
      if (gauge === undefined) {
        gauge = new Gauge(this.#options(name, name, labels));
        this.#gauges.set(name, gauge);
      }
      if (labels === undefined) gauge.set(value);
      else gauge.set(labels, value);
    } catch {
      this.#misuse.inc();
    }
  }

  observe(name: string, value: number, labels?: Labels): void {
    try {
      let histogram = this.#histograms.get(name);
      if (histogram === undefined) {
        histogram = new Histogram({ ...this.#options(name, name, labels), buckets: DURATION_BUCKETS_MS });
        this.#histograms.set(name, histogram);
      }
      if (labels === undefined) histogram.observe(value);
      else histogram.observe(labels, value);
    } catch {
      this.#misuse.inc();
    }
  }

  /** All metrics in Prometheus text form. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  #options(exported: string, name: string, labels: Labels | undefined) {
    return {
      name: this.#prefix + exported,
      help: this.#help.get(name) ?? name.replaceAll("_", " "),
      labelNames: labels === undefined ? [] : Object.keys(labels),
      registers: [this.registry],
    };
  }
}
