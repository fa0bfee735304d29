import { type Bench, type BenchContext, type BenchResult, type Goal, type Sample, ratioOf, resultOf, sampleOf } from "../bench.ts";
import { builtPackage } from "../built-package.ts";
import { startAgent, startDirectory } from "../cli-fleet.ts";
import { servers } from "./contender.ts";
import { contenderNamed, contenders } from "./contenders.ts";
import { type Measured, type Plan, type Trouble, measure } from "./measuring.ts";

/**
 * Three servers of which each is slow now and then, 16 calls at a time: how long do the unlucky calls take, and at the price of how
 * much work that nobody needed? Then the same with one server that is stuck: stopped as a whole, or in an endless loop.
 *
 * Words: contenders (default all; ours and the ideal are always among them), troubles (`stopped`, `endless`, or only `healthy`; default
 * all), `seconds=N` for each measurement, `runs=N`, `source` for the library as it lies in src/.
 */
const runsDefault = 3;
const healthySecondsDefault = 10;
const stuckSecondsDefault = 30;
const tailGoal = 1.1;
const workGoal = 0.02;
const stuckGoal = 3;
const troubles: readonly Trouble[] = ["healthy", "stopped", "endless"];

const needsPackages = ["moleculer", "grpc", "nats"];

const figures = ["p50Ms", "p99Ms", "p999Ms", "maxMs", "executed", "failed", "cpuUs"] as const;
const labels: Readonly<Record<(typeof figures)[number], readonly [string, string]>> = {
  p50Ms: ["p50", "ms"],
  p99Ms: ["p99", "ms"],
  p999Ms: ["p99.9", "ms"],
  maxMs: ["slowest", "ms"],
  executed: ["executed per call", "requests"],
  failed: ["failed calls", "calls"],
  cpuUs: ["caller's CPU per call", "µs"],
};

/** What was measured under one trouble, by contender; runs in their order. */
type Taken = ReadonlyMap<string, readonly Measured[]>;

function sampleIn(runs: readonly Measured[], figure: keyof Measured): Sample {
  return sampleOf(runs.map((run) => run[figure]));
}

async function take(plan: Plan, words: readonly string[], trouble: Trouble, runs: number): Promise<Taken> {
  const taken = new Map<string, Measured[]>(words.map((word) => [word, []]));
  for (let run = 0; run < runs; run++)
    for (const word of words) {
      const one = await measure(plan, word, trouble);
      if (one === undefined) continue;
      taken.get(word)?.push(one);
      const { p50Ms, p99Ms, p999Ms, executed, failed, perSecond } = one;
      plan.context.log(
        `${trouble}, ${contenderNamed(word).name}: p50 ${p50Ms.toFixed(2)}, p99 ${p99Ms.toFixed(2)}, p99.9 ${p999Ms.toFixed(2)} ms, ` +
          `${executed.toFixed(3)} executed per call, ${failed} failed, ${Math.round(perSecond).toLocaleString("en")}/s`,
      );
    }
  return new Map([...taken].filter(([, all]) => all.length > 0));
}

function plainResults(taken: Taken, trouble: Trouble): readonly BenchResult[] {
  const label = trouble === "healthy" ? "" : `, one server ${trouble}`;
  return [...taken].flatMap(([word, runs]) => {
    const { name, peer } = contenderNamed(word);
    return figures.map((figure) => {
      const [text, unit] = labels[figure];
      return resultOf(`${name}${label}: ${text}`, unit, sampleIn(runs, figure), { peer });
    });
  });
}

function againstIdeal(healthy: Taken): readonly BenchResult[] {
  const [ours, best] = [healthy.get("muster"), healthy.get("ideal")];
  if (ours === undefined || best === undefined) return [];
  const ratio = (figure: keyof Measured) => ratioOf(sampleIn(ours, figure), sampleIn(best, figure));
  const more = sampleOf(ours.map((run, index) => run.executed - (best[index]?.executed ?? Number.NaN)));
  const tail: { readonly goal: Goal } = { goal: { max: tailGoal } };
  return [
    resultOf("Muster ÷ ideal: p50", "×", ratio("p50Ms")),
    resultOf("Muster ÷ ideal: p99", "×", ratio("p99Ms"), tail),
    resultOf("Muster ÷ ideal: p99.9", "×", ratio("p999Ms"), tail),
    resultOf("Muster − ideal: executed per call", "requests", more, { goal: { max: workGoal } }),
  ];
}

/** The healthy runs are of other processes, so medians are compared. */
function againstHealth(healthy: Taken, stuck: Taken, trouble: Trouble): readonly BenchResult[] {
  return [...stuck].flatMap(([word, runs]) => {
    const before = healthy.get(word);
    if (before === undefined) return [];
    const { name, peer } = contenderNamed(word);
    const { median } = sampleIn(before, "p999Ms");
    const ratio = sampleOf(runs.map(({ p999Ms }) => p999Ms / median));
    const goal = peer ? {} : { goal: { max: stuckGoal } };
    return [resultOf(`${name}: p99.9 with one server ${trouble} ÷ healthy`, "×", ratio, { peer, ...goal })];
  });
}

async function planOf(context: BenchContext): Promise<Omit<Plan, "seconds">> {
  const library = context.args.includes("source") ? new URL("../../src/index.ts", import.meta.url).href : await builtPackage(context);
  const directory = await startDirectory(context);
  const agents = Array.from({ length: servers + 1 }, (_, host) =>
    startAgent(context, `HOST${host + 1}`, `127.0.0.${host + 11}`, [directory]),
  );
  return { context, library, agents: (await Promise.all(agents)).map(({ socket }) => socket) };
}

export const bench: Bench = {
  name: "tail",
  about: "three servers, 5 % of answers after 50 ms, 16 calls at a time: the slow ones among the answers, and the work they cost",
  run: async (context) => {
    const { args } = context;
    const numberOf = (name: string) => Number(args.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1) ?? Number.NaN);
    const chosen = <T extends string>(all: readonly T[], always: readonly T[]) =>
      all.some((word) => args.includes(word)) ? all.filter((word) => args.includes(word) || always.includes(word)) : all;
    const words = chosen([...contenders.keys()], ["ideal", "muster"]);
    const wanted = chosen(troubles, ["healthy"]);
    const runs = numberOf("runs") || runsDefault;
    if (words.some((word) => needsPackages.includes(word))) await context.peers();
    const base = await planOf(context);
    const results: BenchResult[] = [];
    let healthy: Taken = new Map();
    for (const trouble of wanted) {
      const isHealthy = trouble === "healthy";
      const seconds = numberOf("seconds") || (isHealthy ? healthySecondsDefault : stuckSecondsDefault);
      const taken = await take({ ...base, seconds }, words, trouble, isHealthy ? runs : 1);
      results.push(...plainResults(taken, trouble));
      if (isHealthy) {
        healthy = taken;
        results.push(...againstIdeal(taken));
      } else results.push(...againstHealth(healthy, taken, trouble));
    }
    return results;
  },
};
