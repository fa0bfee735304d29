import { pathToFileURL } from "node:url";
import path from "node:path";
import { type Bench, type BenchContext, type BenchResult, type Goal, type Sample, ratioOf, resultOf, sampleOf } from "../bench.ts";
import { builtPackage } from "../built-package.ts";
import { startAgent, startDirectory } from "../cli-fleet.ts";
import { firstAnswerResults } from "./first-answer.ts";
import { type Case, type Measured, type Plan, measure } from "./measuring.ts";
import { wayNamed, ways } from "./way.ts";

/**
 * A request of 100 bytes from one process to a server in another, as a program makes it: by the name of the service, with a deadline
 * and the budget on. In each run floor, ours and Moleculer follow one another, so that their ratios are of neighbours in time.
 *
 * Words: ways to ask (ours is always among them) and `all` for the first answer of three (default: everything), `seconds=N` and `runs=N`, `source` for the
 * library as it lies in src/, `profile=FOLDER` for profiles of our two processes.
 */
const perSecondGoal = 300_000;
const cpuGoal = 3.5;
const moleculerGoal = 2.5;
const secondsDefault = 2;
const runsDefault = 5;
const peerRunsMax = 3;
/** In this order. */
const neighbours = ["floor", "muster", "moleculer"];

const cases: readonly (Case & { readonly label: string; readonly goals: Readonly<Partial<Record<keyof Measured, Goal>>> })[] = [
  { label: "c=64", concurrency: 64, pinned: false, goals: { perSecond: { min: perSecondGoal }, cpu: { max: cpuGoal } } },
  { label: "c=1, both on one core", concurrency: 1, pinned: true, goals: {} },
];

type Samples = Readonly<Record<keyof Measured, Sample>>;

const units = { perSecond: "req/s", cpu: "s per million", p50Us: "µs", p99Us: "µs" } as const;
const names = { perSecond: "requests", cpu: "CPU", p50Us: "p50", p99Us: "p99" } as const;
const figures = ["perSecond", "cpu", "p50Us", "p99Us"] as const;

function samplesOf(runs: readonly Measured[]): Samples {
  const of = (figure: keyof Measured) => sampleOf(runs.map((run) => run[figure]));
  return { perSecond: of("perSecond"), cpu: of("cpu"), p50Us: of("p50Us"), p99Us: of("p99Us") };
}

/** By word; what cannot be had here is left out. */
async function samplesOfAll(plan: Plan, words: readonly string[], how: Case): Promise<ReadonlyMap<string, Samples>> {
  const measured = new Map<string, Measured[]>(words.map((word) => [word, []]));
  for (let run = 0; run < plan.runs; run++)
    for (const word of words) {
      if (run >= peerRunsMax && !neighbours.includes(word)) continue;
      const one = await measure(plan, word, how);
      if (one === undefined) continue;
      measured.get(word)?.push(one);
      const { perSecond, cpu, p50Us, p99Us } = one;
      plan.context.log(
        `c=${how.concurrency} ${wayNamed(word).name}: ${Math.round(perSecond).toLocaleString("en")}/s, ` +
          `${cpu.toFixed(2)} CPU s per million, p50 ${p50Us.toFixed(0)} µs, p99 ${p99Us.toFixed(0)} µs`,
      );
    }
  return new Map([...measured].filter(([, runs]) => runs.length > 0).map(([word, runs]) => [word, samplesOf(runs)]));
}

async function resultsOf(plan: Plan, words: readonly string[]): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  for (const how of cases) {
    const { label, goals } = how;
    const all = await samplesOfAll(plan, words, how);
    for (const [word, samples] of all)
      for (const figure of figures) {
        const { name, peer } = wayNamed(word);
        const goal = peer ? undefined : goals[figure];
        const options = goal === undefined ? { peer } : { peer, goal };
        results.push(resultOf(`${name}, ${label}: ${names[figure]}`, units[figure], samples[figure], options));
      }
    const [floor, ours, moleculer] = neighbours.map((word) => all.get(word));
    if (ours === undefined) continue;
    if (floor !== undefined) results.push(resultOf(`fleet.request ÷ floor, ${label}`, "×", ratioOf(ours.perSecond, floor.perSecond)));
    if (moleculer !== undefined) {
      const goal = how.pinned ? {} : { goal: { min: moleculerGoal } };
      results.push(resultOf(`fleet.request ÷ Moleculer, ${label}`, "×", ratioOf(ours.perSecond, moleculer.perSecond), goal));
    }
  }
  return results;
}

async function planOf(context: BenchContext): Promise<Plan> {
  const { args } = context;
  const wordOf = (name: string) => args.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1);
  const source = pathToFileURL(path.resolve("src/index.ts")).href;
  const library = args.includes("source") ? source : await builtPackage(context);
  const directory = await startDirectory(context);
  const agentOf = (host: number) => startAgent(context, `HOST${host}`, `127.0.0.${host + 10}`, [directory]);
  return {
    context,
    library,
    agents: [await agentOf(1), await agentOf(2)],
    seconds: Number(wordOf("seconds") ?? secondsDefault),
    runs: Number(wordOf("runs") ?? runsDefault),
    profiles: wordOf("profile"),
  };
}

export const bench: Bench = {
  name: "rpc",
  about: "fleet.request of 100 bytes between two processes, 64 and 1 in flight, and the first answer of three servers",
  run: async (context) => {
    const { args } = context;
    const known = [...new Set([...neighbours, ...ways.keys()])];
    const named = known.filter((word) => args.includes(word));
    const words = named.length === 0 && !args.includes("all") ? known : known.filter((word) => word === "muster" || named.includes(word));
    if (words.some((word) => wayNamed(word).of !== undefined)) await context.peers();
    const plan = await planOf(context);
    const all = named.length === 0 || args.includes("all");
    return [...(await resultsOf(plan, words)), ...(all ? await firstAnswerResults(plan) : [])];
  },
};
