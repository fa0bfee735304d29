// The global of this name is a getter, which costs half of what it gets.
import { performance } from "node:perf_hooks";
import { readFileSync } from "node:fs";

/** What several runs of one measurement gave; `values` in the order of the runs. */
export interface Sample {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
  readonly values: readonly number[];
}

export interface ClosedLoopOptions {
  /** Operations in flight. */
  readonly concurrency?: number;
  /** Time that counts, after the warm-up. */
  readonly ms?: number;
  readonly warmMs?: number;
  /** Other processes whose processor time is read over the same span. */
  readonly pids?: readonly number[];
}

export interface ClosedLoopResult {
  readonly perSecond: number;
  readonly count: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  readonly elapsedMs: number;
  readonly ownCpuSeconds: number;
  readonly otherCpuSeconds: number;
  /** Processor seconds of this process and of `pids` together, per million operations. */
  readonly cpuSecondsPerMillion: number;
}

/** `sorted` ascending; nearest rank; NaN when it is empty. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  if (sorted.length === 0) return Number.NaN;
  const rank = Math.ceil((percent / 100) * sorted.length) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, rank))] ?? Number.NaN;
}

export function sorted(values: Iterable<number>): Float64Array {
  return Float64Array.from(values).sort();
}

export function median(values: readonly number[]): number {
  const ascending = sorted(values);
  const middle = ascending.length >> 1;
  if (ascending.length % 2 === 1) return ascending[middle] ?? Number.NaN;
  return ((ascending[middle - 1] ?? Number.NaN) + (ascending[middle] ?? Number.NaN)) / 2;
}

export function sampleOf(values: readonly number[]): Sample {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), runs: values.length, values };
}

/**
 * A sample of quotients, run by run, of what was measured in the same run: noise that hits both sides alike cancels out.
 * The two samples must come from the same `repeat`, or at least from as many runs in the same order.
 */
export function ratioOf(numerator: Sample, denominator: Sample): Sample {
  if (numerator.runs !== denominator.runs)
    throw new Error(`a ratio needs as many runs on both sides: ${numerator.runs} and ${denominator.runs}`);
  return sampleOf(numerator.values.map((value, run) => value / (denominator.values[run] ?? Number.NaN)));
}

export const sleepMs = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Monotonic milliseconds with one origin for all processes of the machine, so instants of two processes compare. */
export const sharedNowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** User and system seconds that a process has used, from /proc; resolution 10 ms. Zero once it is gone. */
export function processCpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

/** Seconds that all processors of the machine together have been idle, and had, since it started. From /proc; 10 ms steps. */
export function machineSeconds(): { readonly idle: number; readonly all: number } {
  const line = /^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? "";
  // user, nice, system, idle, iowait, irq, softirq, steal: guest time is in user time already (proc(5)).
  const fields = line.split(" ").slice(0, 8).map(Number);
  return { idle: ((fields[3] ?? 0) + (fields[4] ?? 0)) / 100, all: fields.reduce((sum, field) => sum + field, 0) / 100 };
}

/** Resident memory of a process in bytes, from /proc. */
export function processResidentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? Number.NaN) * 1024;
}

/** Numbers in a part. */
const latenciesPart = 1 << 16;

/** A growing list of numbers without the boxing of an array: a measured loop must not pay for its own measuring. */
class Latencies {
  /** Parts, so that growing copies nothing; `clear` keeps them, so that the warm-up touches most of the memory for the first time. */
  readonly #parts = [new Float64Array(latenciesPart)];
  #part = 0;
  #used = 0;

  push(value: number): void {
    if (this.#used === latenciesPart) this.#next();
    const part = this.#parts[this.#part];
    if (part !== undefined) part[this.#used++] = value;
  }

  #next(): void {
    this.#part++;
    this.#used = 0;
    if (this.#part === this.#parts.length) this.#parts.push(new Float64Array(latenciesPart));
  }

  get length(): number {
    return this.#part * latenciesPart + this.#used;
  }

  clear(): void {
    this.#part = 0;
    this.#used = 0;
  }

  ascending(): Float64Array {
    const all = new Float64Array(this.length);
    for (const [index, part] of this.#parts.slice(0, this.#part + 1).entries())
      all.set(index < this.#part ? part : part.subarray(0, this.#used), index * latenciesPart);
    return all.sort();
  }
}

/**
 * `concurrency` loops, each of which starts the next operation when its last one is answered. What is answered between the end of the
 * warm-up and the end of the measurement counts, with all of the time that it took.
 */
export async function closedLoop(operation: () => unknown, options: ClosedLoopOptions = {}): Promise<ClosedLoopResult> {
  const { concurrency = 1, ms = 2000, warmMs = 500, pids = [] } = options;
  const latencies = new Latencies();
  let counting = false;
  let stopped = false;
  let errors = 0;
  const loop = async () => {
    while (!stopped) {
      const startMs = performance.now();
      try {
        await operation();
      } catch {
        if (counting) errors++;
        continue;
      }
      if (!stopped) latencies.push(performance.now() - startMs);
    }
  };
  const loops = Array.from({ length: concurrency }, loop);
  await sleepMs(warmMs);
  latencies.clear();
  counting = true;
  const startMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const othersBefore = pids.map(processCpuSeconds);
  await sleepMs(ms);
  counting = false;
  stopped = true;
  const elapsedMs = performance.now() - startMs;
  const cpu = process.cpuUsage(cpuBefore);
  const otherCpuSeconds = pids.reduce((sum, pid, index) => sum + processCpuSeconds(pid) - (othersBefore[index] ?? 0), 0);
  await Promise.all(loops);
  const ascending = latencies.ascending();
  const ownCpuSeconds = (cpu.user + cpu.system) / 1e6;
  return {
    perSecond: (ascending.length / elapsedMs) * 1000,
    count: ascending.length,
    errors,
    p50Ms: percentile(ascending, 50),
    p99Ms: percentile(ascending, 99),
    p999Ms: percentile(ascending, 99.9),
    maxMs: percentile(ascending, 100),
    elapsedMs,
    ownCpuSeconds,
    otherCpuSeconds,
    cpuSecondsPerMillion: ((ownCpuSeconds + otherCpuSeconds) / ascending.length) * 1e6,
  };
}
