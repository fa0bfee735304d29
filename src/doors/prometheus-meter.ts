import type * as PromClient from "prom-client";
import type { Labels, Meter } from "../kernel/index.ts";

type Library = typeof PromClient;

/** Label sets of one metric; what is beyond is not counted, so that a label taken from outside cannot fill the memory. */
const labelSetsMax = 1000;
/** Observations that wait for the library, which is loaded when somebody looks. */
const observationsMax = 4096;

const msBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];
const countBuckets = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];

interface Series<Value> {
  readonly labels: Labels;
  value: Value;
}

/** One metric: its values by label set. */
type Family<Value> = Map<string, Series<Value>>;

/**
 * Counts in plain maps and speaks Prometheus when it is asked to: counting costs a map look-up, and the library is loaded
 * with the first look.
 */
export class PrometheusMeter implements Meter {
  readonly #counters = new Map<string, Family<number>>();
  readonly #gauges = new Map<string, Family<() => number>>();
  #observations: { readonly name: string; readonly value: number; readonly labels: Labels }[] = [];
  #dropped = 0;
  #exposition: Promise<Exposition> | undefined;

  constructor() {
    this.gauge("muster_metrics_dropped", () => this.#dropped);
  }

  count(name: string, by = 1, labels: Labels = {}): void {
    const series = this.#series(this.#counters, name, labels, 0);
    if (series !== undefined) series.value += by;
  }

  gauge(name: string, read: () => number, labels: Labels = {}): void {
    const series = this.#series<() => number>(this.#gauges, name, labels, read);
    if (series !== undefined) series.value = read;
  }

  observe(name: string, value: number, labels: Labels = {}): void {
    if (this.#observations.length < observationsMax) this.#observations.push({ name, value, labels });
    else if (this.#exposition === undefined) this.#dropped++;
    else void this.#flush();
  }

  /** The text of `/metrics`. */
  async render(): Promise<{ readonly contentType: string; readonly text: string }> {
    const exposition = await this.#flush();
    exposition.update(this.#counters, this.#gauges);
    return { contentType: exposition.registry.contentType, text: await exposition.registry.metrics() };
  }

  async #flush(): Promise<Exposition> {
    this.#exposition ??= import("prom-client").then((library) => new Exposition(library));
    const exposition = await this.#exposition;
    const observations = this.#observations;
    this.#observations = [];
    for (const { name, value, labels } of observations) exposition.observe(name, value, labels);
    return exposition;
  }

  #series<Value>(families: Map<string, Family<Value>>, name: string, labels: Labels, first: Value): Series<Value> | undefined {
    let family = families.get(name);
    if (family === undefined) {
      family = new Map();
      families.set(name, family);
    }
    const id = idOf(labels);
    const known = family.get(id);
    if (known !== undefined) return known;
    if (family.size >= labelSetsMax) {
      this.#dropped++;
      return undefined;
    }
    const series = { labels, value: first };
    family.set(id, series);
    return series;
  }
}

function idOf(labels: Labels): string {
  let id = "";
  for (const name in labels) id += `${name}\u0000${labels[name]}\u0000`;
  return id;
}

/** What the library holds: brought up to date before each look. */
class Exposition {
  readonly registry: PromClient.Registry;
  readonly #library: Library;
  readonly #counters = new Map<string, PromClient.Counter>();
  readonly #gauges = new Map<string, PromClient.Gauge>();
  readonly #histograms = new Map<string, PromClient.Histogram>();

  constructor(library: Library) {
    this.#library = library;
    this.registry = new library.Registry();
    library.collectDefaultMetrics({ register: this.registry });
  }

  update(counters: ReadonlyMap<string, Family<number>>, gauges: ReadonlyMap<string, Family<() => number>>): void {
    const { Counter, Gauge } = this.#library;
    for (const [name, family] of counters) {
      const metric =
        this.#counters.get(name) ?? new Counter({ name, help: helpOf(name), labelNames: labelNamesOf(family), registers: [this.registry] });
      this.#counters.set(name, metric);
      metric.reset();
      for (const { labels, value } of family.values()) metric.inc({ ...labels }, value);
    }
    for (const [name, family] of gauges) {
      const metric =
        this.#gauges.get(name) ?? new Gauge({ name, help: helpOf(name), labelNames: labelNamesOf(family), registers: [this.registry] });
      this.#gauges.set(name, metric);
      for (const { labels, value } of family.values()) metric.set({ ...labels }, value());
    }
  }

  observe(name: string, value: number, labels: Labels): void {
    const { Histogram } = this.#library;
    const buckets = name.endsWith("_ms") ? msBuckets : countBuckets;
    const metric =
      this.#histograms.get(name) ??
      new Histogram({ name, help: helpOf(name), labelNames: Object.keys(labels), buckets, registers: [this.registry] });
    this.#histograms.set(name, metric);
    metric.observe({ ...labels }, value);
  }
}

/** A metric's labels are the ones that its module gives, always the same. */
function labelNamesOf(family: Family<unknown>): string[] {
  return [...new Set([...family.values()].flatMap(({ labels }) => Object.keys(labels)))];
}

function helpOf(name: string): string {
  return name
    .replace(/^muster_/, "")
    .replace(/_total$/, "")
    .replaceAll("_", " ");
}
