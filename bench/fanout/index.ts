import { isRecord } from "../../src/kernel/index.ts";
import {
  type Bench,
  type BenchContext,
  type BenchResult,
  type Child,
  type Sample,
  percentile,
  ratioOf,
  resultOf,
  sharedNowMs,
  sleepMs,
  sorted,
} from "../bench.ts";
import { floorSource } from "./floor.ts";
import { musterSource } from "./muster.ts";
import { etcdSource, natsSource } from "./peers.ts";
import type { Source } from "./source.ts";

/** Runs of each kind, one kind after the other within a run, so that ratios are of neighbours in time. */
const runs = 3;
const writes = 150;
const warmWrites = 15;
const pauseMs = 15;
const lostAfterMs = 8000;
const burstMs = 3000;
const unconfirmedMax = 256;
/** The writer lets the event loop turn after so many writes: they leave together. */
const writesATurn = 32;

type Kind = "floor" | "lmdb" | "memory" | "nats" | "etcd";

const names: Readonly<Record<Kind, string>> = {
  floor: "floor (TCP, joined frames, a Map each)",
  lmdb: "Muster, LMDB",
  memory: "Muster, memory store",
  nats: "NATS core",
  etcd: "etcd watch",
};

interface Measured {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
  /** Processor time of the writer and of all watchers per update, in the same burst. */
  readonly cpuUs: number;
}

async function sourceOf(context: BenchContext, kind: Kind): Promise<Source | undefined> {
  switch (kind) {
    case "floor":
      return floorSource(await context.port());
    case "lmdb":
      return musterSource(context.folder());
    case "memory":
      return musterSource(undefined);
    case "nats":
      return natsSource(context);
    case "etcd":
      return etcdSource(context);
  }
}

/** The watchers of all child processes, as one. */
class Watchers {
  readonly #children: readonly Child[];
  readonly #least: number[];
  readonly #told = new Map<number, { left: number; lastMs: number; done: (lastMs: number) => void }>();
  /** Called when watchers have got further. */
  moved: () => void = () => {};

  constructor(context: BenchContext, kind: Kind, count: number, place: string) {
    const processes = count <= 100 ? 2 : 4;
    const script = new URL("watchers.ts", import.meta.url);
    this.#children = Array.from({ length: processes }, () => context.child(script, [kind, count / processes, place]));
    this.#least = this.#children.map(() => 0);
    this.#children.forEach((child, index) => {
      child.on("told", (news) => {
        if (isRecord(news)) this.#hear(Number(news["number"]), Number(news["atMs"]));
      });
      child.on("least", (least) => {
        this.#least[index] = Number(least);
        this.moved();
      });
    });
  }

  /** Writes that every watcher has been told of since the burst began. */
  get least(): number {
    return Math.min(...this.#least);
  }

  async open(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.call("open")));
  }

  /** Since the last time it was asked. */
  cpuSeconds(): number {
    return this.#children.reduce((sum, child) => sum + child.cpuSeconds(), 0);
  }

  async burst(begins: boolean): Promise<number> {
    this.#least.fill(0);
    const sums = await Promise.all(this.#children.map((child) => child.call("burst", begins)));
    return sums.reduce((sum: number, value) => sum + Number(value), 0);
  }

  /** When the last watcher was told of this write; `undefined` when that takes too long. The news may come before the question. */
  async last(number: number): Promise<number | undefined> {
    const heard = this.#entry(number);
    const told = new Promise<number>((resolve) => {
      if (heard.left === 0) resolve(heard.lastMs);
      else heard.done = resolve;
    });
    const lastMs = await Promise.race([told, sleepMs(lostAfterMs).then(() => undefined)]);
    this.#told.delete(number);
    return lastMs;
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()));
  }

  #entry(number: number): { left: number; lastMs: number; done: (lastMs: number) => void } {
    const known = this.#told.get(number);
    if (known !== undefined) return known;
    const entry = { left: this.#children.length, lastMs: 0, done: () => {} };
    this.#told.set(number, entry);
    return entry;
  }

  #hear(number: number, atMs: number): void {
    const entry = this.#entry(number);
    entry.lastMs = Math.max(entry.lastMs, atMs);
    if (--entry.left === 0) entry.done(entry.lastMs);
  }
}

/** One write at a time, until the last watcher has been told. */
async function propagation(source: Source, watchers: Watchers): Promise<Pick<Measured, "p50" | "p99">> {
  const latencies: number[] = [];
  for (let number = 1; number <= warmWrites + writes; number++) {
    const startMs = sharedNowMs();
    const told = await source.write(number);
    const lastMs = await watchers.last(told);
    if (lastMs === undefined) throw new Error(`a write did not reach all watchers within ${lostAfterMs} ms`);
    if (number > warmWrites) latencies.push(lastMs - startMs);
    await sleepMs(pauseMs);
  }
  const ascending = sorted(latencies);
  return { p50: percentile(ascending, 50), p99: percentile(ascending, 99) };
}

/** As many writes as the slowest watcher keeps up with, for three seconds, every one of them seen by everybody. */
async function sustained(source: Source, watchers: Watchers, count: number): Promise<Pick<Measured, "perSecond" | "cpuUs">> {
  await watchers.burst(true);
  watchers.cpuSeconds();
  const cpuBefore = process.cpuUsage();
  let written = 0;
  let open = 0;
  let go = () => {};
  watchers.moved = () => go();
  const startMs = performance.now();
  const finished = () => {
    open--;
    go();
  };
  while (performance.now() - startMs < burstMs) {
    if (open < unconfirmedMax && written - watchers.least < unconfirmedMax) {
      open++;
      written++;
      source.write(written).then(finished, finished);
      if (written % writesATurn === 0) await new Promise((resolve) => setImmediate(resolve));
    } else
      await new Promise<void>((resolve) => {
        go = resolve;
      });
  }
  while (watchers.least < written && performance.now() - startMs < burstMs + lostAfterMs) await sleepMs(1);
  const elapsedMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuUs = (user + system + watchers.cpuSeconds() * 1e6) / written;
  watchers.moved = () => {};
  const seen = await watchers.burst(false);
  if (seen !== written * count) throw new Error(`${written} writes to ${count} watchers, but only ${seen} were seen`);
  return { perSecond: (written / elapsedMs) * 1000, cpuUs };
}

async function measure(context: BenchContext, kind: Kind, count: number): Promise<Measured | undefined> {
  const source = await sourceOf(context, kind);
  if (source === undefined) return undefined;
  const watchers = new Watchers(context, kind, count, source.place);
  try {
    await watchers.open();
    const { p50, p99 } = await propagation(source, watchers);
    const { perSecond, cpuUs } = count === 100 ? await sustained(source, watchers, count) : { perSecond: Number.NaN, cpuUs: Number.NaN };
    const followed = Number.isNaN(perSecond) ? "" : `, ${Math.round(perSecond)}/s at ${Math.round(cpuUs)} µs`;
    context.log(`${names[kind]}, ${count}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms${followed}`);
    return { p50, p99, perSecond, cpuUs };
  } finally {
    await watchers.close();
    await source.close();
  }
}

async function resultsFor(context: BenchContext, kinds: readonly Kind[], count: number): Promise<readonly BenchResult[]> {
  const skipped = new Set<Kind>();
  const samples = await context.repeat(runs, async () => {
    const run: Record<string, number> = {};
    for (const kind of kinds) {
      const measured = skipped.has(kind) ? undefined : await measure(context, kind, count);
      if (measured === undefined) skipped.add(kind);
      else for (const [what, value] of Object.entries(measured)) run[`${kind} ${what}`] = value;
    }
    return run;
  });
  const results: BenchResult[] = [];
  const sample = (kind: Kind, what: keyof Measured): Sample | undefined => samples[`${kind} ${what}`];
  const add = (what: keyof Measured, unit: string, label: string, goal: { max: number } | { min: number } | undefined) => {
    const floor = sample("floor", what);
    for (const kind of kinds) {
      const ours = kind === "lmdb" || kind === "memory";
      const found = sample(kind, what);
      if (found === undefined) continue;
      results.push(resultOf(`${label}, ${names[kind]}`, unit, found, { peer: !ours }));
      if (ours && floor !== undefined && goal !== undefined)
        results.push(resultOf(`${label}, ${names[kind]} ÷ floor`, "×", ratioOf(found, floor), kind === "lmdb" ? { goal } : {}));
    }
  };
  const label = count.toLocaleString("en");
  add("p50", "ms", `change → last of ${label} nodes, p50`, { max: 1.5 });
  add("p99", "ms", `change → last of ${label} nodes, p99`, undefined);
  if (count === 100) {
    add("perSecond", "updates/s", `followed by ${label} nodes, every one seen`, { min: 0.8 });
    add("cpuUs", "µs", `processor time per update, writer and ${label} nodes`, undefined);
  }
  return results;
}

const allKinds: readonly Kind[] = ["floor", "lmdb", "memory", "nats", "etcd"];

/** `npm run bench -- fanout [100] [1000] [floor] [lmdb] [memory] [nats] [etcd]`; everything when none is named. */
export const bench: Bench = {
  name: "fanout",
  about: "how long a change takes to the last of 100 and of 1,000 nodes, and how many a second 100 nodes follow",
  run: async (context) => {
    const named = allKinds.filter((kind) => context.args.includes(kind));
    const counts = [100, 1000].filter((count) => !context.args.some((text) => Number(text) > 0) || context.args.includes(String(count)));
    const results: BenchResult[] = [];
    for (const count of counts) results.push(...(await resultsFor(context, named.length > 0 ? named : allKinds, count)));
    return results;
  },
};
