/**
 * `npm run sim -- roll --seeds N [--from S] [--mutant NAME] [--trace]`: whole fleets (`writes`: ordering groups) on virtual time, one seed each.
 * A failing seed is printed with the command that repeats it. The exit code is 0 when nothing was violated (with --mutant: when it
 * was caught).
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { type Mutant, rollMutants } from "./mutants.ts";
import { applyMutant } from "./mutate.ts";
import { moveMutants } from "./moves/mutants.ts";
import { writeMutants } from "./writes/mutants.ts";

type Trace = ((line: string) => void) | undefined;

/** What a run achieved, by name. */
type Achieved = Readonly<Record<string, number>>;

interface Protocol {
  readonly mutants: readonly Mutant[];
  /** Means per seed below which a run has proven nothing. */
  readonly floors: Achieved;
  /** The same for what happens now and then only, in runs of a thousand seeds and more. */
  readonly rareFloors?: Achieved;
  /** Called after the mutant was applied: only then the sources are loaded. */
  load(): Promise<{
    run(seed: number, trace: Trace): Promise<Achieved>;
    readonly schedules: Readonly<Record<string, (seed: number, trace?: (line: string) => void) => Promise<unknown>>>;
  }>;
}

const loadRoll = (liveness: boolean) => async () => {
  const { runSeed } = await import("./roll/run-seed.ts");
  const { schedules } = await import("./roll/schedules/index.ts");
  const run = async (seed: number, trace: Trace) => ({ ...(await runSeed(seed, { liveness, ...(trace === undefined ? {} : { trace }) })) });
  return { run, schedules };
};

const protocols: Readonly<Record<string, Protocol>> = {
  roll: {
    mutants: rollMutants,
    floors: {
      offered: 200,
      acknowledged: 150,
      refused: 5,
      settled: 5,
      reigns: 1.3,
      faults: 4.5,
      calm: 0.03,
      deaths: 0.1,
      groupChanges: 5,
      evictions: 0.2,
    },
    load: loadRoll(false),
  },
  /** The roll with probed routes; half of the runs have no faults but deaths and cut routes, which are known in time over paths that lose a tenth. */
  liveness: {
    mutants: rollMutants,
    floors: { offered: 200, acknowledged: 150, refused: 5, settled: 5, reigns: 1.1, faults: 4, calm: 0.3, deaths: 1, cuts: 0.4 },
    load: loadRoll(true),
  },
  writes: {
    mutants: writeMutants,
    floors: { acknowledged: 20, reads: 10, epochs: 3, takeovers: 0.5, faults: 2 },
    rareFloors: {
      abandoned: 0.5,
      cutBacks: 0.3,
      expired: 1,
      joined: 1.5,
      lost: 0.02,
      moved: 0.05,
      outcomesFull: 0.01,
      plots: 0.15,
      promoted: 0.01,
      putBack: 0.005,
      queueFull: 0.1,
      reused: 0.2,
      rowsUnheard: 0.3,
      snapshots: 0.3,
      tooFewCopies: 1,
      tooLarge: 0.002,
      windowFull: 0.02,
    },
    async load() {
      const { runWritesSeed } = await import("./writes/run-seed.ts");
      const { schedules } = await import("./writes/schedules.ts");
      return { run: async (seed, trace) => ({ ...(await runWritesSeed(seed, trace)) }), schedules };
    },
  },
  /** Slots of keys that move between groups. */
  moves: {
    mutants: moveMutants,
    floors: { acknowledged: 20, reads: 8, moves: 1.5, moved: 3, followed: 1.5, faults: 1.5 },
    async load() {
      const { runMovesSeed } = await import("./moves/run-seed.ts");
      const { schedules } = await import("./moves/schedules.ts");
      return { run: async (seed, trace) => ({ ...(await runMovesSeed(seed, trace)) }), schedules };
    },
  },
};

const usage = `usage: npm run sim -- ${Object.keys(protocols).join("|")} --seeds N [--from S] [--mutant NAME] [--schedule NAME] [--trace] [--jobs N]`;

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

function protocolOf(name: string | undefined): Protocol {
  const found = name === undefined ? undefined : protocols[name];
  if (found !== undefined) return found;
  process.stderr.write(`${usage}\n`);
  process.exit(2);
}

const [protocolName = ""] = positionals;
const protocol = protocolOf(protocolName);

async function work(from: number, seeds: number): Promise<void> {
  const { mutants } = protocol;
  const mutant = mutants.find(({ name }) => name === values.mutant);
  if (values.mutant !== undefined) {
    if (mutant === undefined) throw new Error(`there is no mutant "${values.mutant}": ${mutants.map(({ name }) => name).join(", ")}`);
    applyMutant(mutant);
  }
  const sums = new Map<string, number>();
  const add = (name: string, by: number) => sums.set(name, (sums.get(name) ?? 0) + by);
  const { run, schedules } = await protocol.load();
  const schedule = values.schedule === undefined ? undefined : schedules[values.schedule];
  if (values.schedule !== undefined && schedule === undefined)
    throw new Error(`there is no schedule "${values.schedule}": ${Object.keys(schedules).join(", ")}`);
  // The product makes errors by the thousand here; the command that repeats a failing seed shows where they come from.
  if (!values.trace) Error.stackTraceLimit = 0;
  const trace = values.trace ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
  for (let seed = from; seed < from + seeds; seed++) {
    try {
      if (schedule !== undefined) await schedule(seed, trace);
      else {
        for (const [name, achieved] of Object.entries(await run(seed, trace))) add(name, achieved);
        add("seeds", 1);
      }
    } catch (thrown) {
      const reason =
        thrown instanceof Error ? (thrown.name === "Violation" ? thrown.message : (thrown.stack ?? thrown.message)) : String(thrown);
      report({ failure: { seed, reason } });
      if (values.mutant !== undefined) break;
    }
    report({ done: seed });
  }
  report({ sums: Object.fromEntries(sums) });
}

interface Report {
  readonly failure?: Failure;
  readonly done?: number;
  readonly sums?: Achieved;
}

function report(news: Report): void {
  if (values.worker) process.send?.(news);
  else handle(news);
}

const failures: Failure[] = [];
const total = new Map<string, number>();
let done = 0;

function handle({ failure, done: seed, sums }: Report): void {
  if (failure !== undefined) {
    failures.push(failure);
    if (failures.length <= 20)
      process.stdout.write(
        `seed ${failure.seed}: ${failure.reason}\n  again: npm run sim -- ${protocolName} --seeds 1 --from ${failure.seed}${values.mutant === undefined ? "" : ` --mutant "${values.mutant}"`} --trace\n`,
      );
  }
  if (seed !== undefined && ++done % 500 === 0) process.stdout.write(`${done} seeds, ${failures.length} failed\n`);
  for (const [name, sum] of Object.entries(sums ?? {})) total.set(name, (total.get(name) ?? 0) + sum);
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
        const child = fork(import.meta.filename, [protocolName, ...options]);
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
  const ran = total.get("seeds") ?? 0;
  const mean = (name: string) => (total.get(name) ?? 0) / ran;
  if (ran > 0)
    process.stdout.write(
      `${ran} seeds in ${seconds.toFixed(0)} s; per seed: ${[...total.keys()]
        .filter((name) => name !== "seeds")
        .map((name) => `${name} ${mean(name).toFixed(mean(name) < 1 ? 3 : 1)}`)
        .join(", ")}\n`,
    );
  let bad = failures.length > 0;
  if (values.mutant === undefined && ran >= 20)
    for (const [name, floor] of Object.entries({ ...protocol.floors, ...(ran < 1000 ? {} : protocol.rareFloors) }))
      if (mean(name) < floor) {
        process.stdout.write(`too little happened: ${name} is below ${floor} a seed\n`);
        bad = true;
      }
  process.stdout.write(values.mutant === undefined ? (bad ? "FAILED\n" : "no violation\n") : bad ? "caught\n" : "NOT caught\n");
  process.exitCode = bad === (values.mutant !== undefined) ? 0 : 1;
}
