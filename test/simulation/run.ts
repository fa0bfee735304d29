/**
 * `npm run sim -- roll --seeds N [--from S] [--mutant NAME] [--trace]`: whole fleets on virtual time, one seed each. A failing
 * seed is printed with the command that repeats it. The exit code is 0 when nothing was violated (with --mutant: when it
 * was caught).
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { rollMutants } from "./mutants.ts";
import { applyMutant } from "./mutate.ts";
import type { Achieved } from "./roll/run-seed.ts";

const usage = "usage: npm run sim -- roll|liveness --seeds N [--from S] [--mutant NAME] [--schedule NAME] [--trace] [--jobs N]";

interface Sums {
  seeds: number;
  offered: number;
  acknowledged: number;
  refused: number;
  settled: number;
  reigns: number;
  faults: number;
  calm: number;
  deaths: number;
  cuts: number;
}

const nothing: Sums = { seeds: 0, offered: 0, acknowledged: 0, refused: 0, settled: 0, reigns: 0, faults: 0, calm: 0, deaths: 0, cuts: 0 };

/** Means per seed below which a run has proven nothing. */
const floorsOf = {
  roll: { offered: 200, acknowledged: 150, refused: 5, settled: 5, reigns: 1.3, faults: 4.5, calm: 0.03, deaths: 0.1 },
  /** Half of the runs have no faults but deaths and cut routes, which are known in time over paths that lose a tenth. */
  liveness: { offered: 200, acknowledged: 150, refused: 5, settled: 5, reigns: 1.1, faults: 4, calm: 0.3, deaths: 1, cuts: 0.4 },
} as const;

export interface Failure {
  readonly seed: number;
  readonly reason: string;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    mutant: { type: "string" },
    schedule: { type: "string" },
    trace: { type: "boolean", default: false },
    jobs: { type: "string" },
    worker: { type: "boolean", default: false },
  },
});

/** The roll alone, or with probed routes over paths that lose and routes that are cut. */
const protocol = positionals[0] === "liveness" ? "liveness" : "roll";
const isKnown = positionals[0] === protocol;
const floors: Readonly<Partial<Sums>> = floorsOf[protocol];

async function work(from: number, seeds: number): Promise<void> {
  const mutant = rollMutants.find(({ name }) => name === values.mutant);
  if (values.mutant !== undefined) {
    if (mutant === undefined) throw new Error(`there is no mutant "${values.mutant}": ${rollMutants.map(({ name }) => name).join(", ")}`);
    applyMutant(mutant);
  }
  const sums: Sums = { ...nothing };
  // Loaded after the mutant was applied.
  const { runSeed } = await import("./roll/run-seed.ts");
  const { schedules } = await import("./roll/schedules/index.ts");
  const schedule = values.schedule === undefined ? undefined : schedules[values.schedule];
  if (values.schedule !== undefined && schedule === undefined)
    throw new Error(`there is no schedule "${values.schedule}": ${Object.keys(schedules).join(", ")}`);
  // The product makes errors by the thousand here; the command that repeats a failing seed shows where they come from.
  if (!values.trace) Error.stackTraceLimit = 0;
  const trace = values.trace ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
  for (let seed = from; seed < from + seeds; seed++) {
    try {
      if (schedule !== undefined) await schedule(seed, trace);
      else add(sums, await runSeed(seed, { liveness: protocol === "liveness", ...(trace === undefined ? {} : { trace }) }));
    } catch (thrown) {
      const reason =
        thrown instanceof Error ? (thrown.name === "Violation" ? thrown.message : (thrown.stack ?? thrown.message)) : String(thrown);
      report({ failure: { seed, reason } });
      if (values.mutant !== undefined) break;
    }
    report({ done: seed });
  }
  report({ sums });
}

function add(sums: Sums, achieved: Achieved): void {
  sums.seeds++;
  for (const name of ["offered", "acknowledged", "refused", "settled", "reigns", "faults", "calm", "deaths", "cuts"] as const)
    sums[name] += achieved[name];
}

interface Report {
  readonly failure?: Failure;
  readonly done?: number;
  readonly sums?: Sums;
}

function report(news: Report): void {
  if (values.worker) process.send?.(news);
  else handle(news);
}

const failures: Failure[] = [];
const total: Sums = { ...nothing };
let done = 0;

function handle({ failure, done: seed, sums }: Report): void {
  if (failure !== undefined) {
    failures.push(failure);
    if (failures.length <= 20)
      process.stdout.write(
        `seed ${failure.seed}: ${failure.reason}\n  again: npm run sim -- ${protocol} --seeds 1 --from ${failure.seed}${values.mutant === undefined ? "" : ` --mutant "${values.mutant}"`} --trace\n`,
      );
  }
  if (seed !== undefined && ++done % 500 === 0) process.stdout.write(`${done} seeds, ${failures.length} failed\n`);
  if (sums !== undefined)
    for (const name of Object.keys(total)) Object.assign(total, { [name]: total[name as keyof Sums] + sums[name as keyof Sums] });
}

async function spread(from: number, seeds: number): Promise<void> {
  const jobs = Math.min(Number(values.jobs ?? availableParallelism()), seeds);
  const each = Math.ceil(seeds / jobs);
  await Promise.all(
    Array.from({ length: jobs }, (_, job) => {
      const first = from + job * each;
      const count = Math.min(each, from + seeds - first);
      if (count <= 0) return Promise.resolve();
      const options = [`--from=${first}`, `--seeds=${count}`, "--worker"];
      if (values.mutant !== undefined) options.push(`--mutant=${values.mutant}`);
      if (values.schedule !== undefined) options.push(`--schedule=${values.schedule}`);
      return new Promise<void>((resolve, reject) => {
        const child = fork(import.meta.filename, [protocol, ...options]);
        child.on("message", (news: Report) => {
          handle(news);
          if (news.failure !== undefined && values.mutant !== undefined) child.kill();
        });
        child.on("error", reject);
        child.on("exit", (code, signal) => (code === 0 || signal !== null ? resolve() : reject(new Error(`a worker ended with ${code}`))));
      });
    }),
  );
}

if (!isKnown) {
  process.stderr.write(`${usage}\n`);
  process.exit(2);
}
const from = Number(values.from);
const seeds = Number(values.seeds);
if (values.worker) {
  await work(from, seeds);
  process.disconnect?.();
} else {
  const started = Date.now();
  if (values.trace || seeds === 1) await work(from, seeds);
  else await spread(from, seeds);
  const seconds = (Date.now() - started) / 1000;
  if (total.seeds > 0)
    process.stdout.write(
      `${total.seeds} seeds in ${seconds.toFixed(0)} s; per seed: ${Object.keys(floors)
        .map((name) => `${name} ${(total[name as keyof Sums] / total.seeds).toFixed(1)}`)
        .join(", ")}\n`,
    );
  let bad = failures.length > 0;
  if (values.mutant === undefined && total.seeds >= 20)
    for (const [name, floor] of Object.entries(floors))
      if (total[name as keyof Sums] / total.seeds < floor) {
        process.stdout.write(`too little happened: ${name} is below ${floor} a seed\n`);
        bad = true;
      }
  process.stdout.write(values.mutant === undefined ? (bad ? "FAILED\n" : "no violation\n") : bad ? "caught\n" : "NOT caught\n");
  process.exitCode = bad === (values.mutant !== undefined) ? 0 : 1;
}
