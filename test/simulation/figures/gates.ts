import type { Figures } from "./figures.ts";
import { slowServerModel, slowServerOfOurs, slowServerPolicies } from "./slow-server.ts";
import { type StormFigures, stormBudget, stormHedgeAfterMs, stormModel, stormOfOurs } from "./storm.ts";
import { stragglersModel, stragglersOfOurs } from "./stragglers.ts";

/** One figure and where it has to lie. */
export interface Gate {
  readonly what: string;
  readonly value: number;
  readonly min?: number;
  readonly max?: number;
}

export interface Line {
  readonly name: string;
  readonly figures: string;
  readonly gates: readonly Gate[];
}

export function isMissed({ value, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }: Gate): boolean {
  return !(value >= min && value <= max);
}

/** As published, give or take `share` of it. */
function near(what: string, value: number, published: number, share: number): Gate {
  return { what, value, min: published * (1 - share), max: published * (1 + share) };
}

const percent = (share: number) => `${(share * 100).toFixed(2)} %`;

function line(name: string, figures: Figures, gates: readonly Gate[]): Line {
  const { p50Ms, p99Ms, p999Ms, extra, withinSecond } = figures;
  const quantiles = `p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)}, p99.9 ${p999Ms.toFixed(1)} ms`;
  return { name, figures: `${quantiles}, extra ${percent(extra)}, within a second ${percent(withinSecond)}`, gates };
}

function stormLine(name: string, figures: StormFigures, gates: readonly Gate[]): Line {
  const { healthyP99Ms, recoveredAfterMs, extra, failed, calls } = figures;
  const recovered = recoveredAfterMs === Number.POSITIVE_INFINITY ? "never well again" : `well again after ${recoveredAfterMs / 1000} s`;
  return {
    name,
    figures: `healthy p99 ${healthyP99Ms.toFixed(0)} ms, ${recovered}, extra ${percent(extra)}, ${failed} of ${calls} failed`,
    gates,
  };
}

function stragglerModels(): readonly Line[] {
  const [none, after10, after50] = [stragglersModel(Number.POSITIVE_INFINITY), stragglersModel(10), stragglersModel(50)];
  return [
    line("stragglers, no hedge", none, [near("p99", none.p99Ms, 64.3, 0.05)]),
    line("stragglers, a hedge after 10 ms", after10, [near("p99", after10.p99Ms, 17.4, 0.05), near("extra", after10.extra, 0.074, 0.05)]),
    line("stragglers, a hedge after 50 ms", after50, [near("p99", after50.p99Ms, 54.7, 0.05), near("extra", after50.extra, 0.021, 0.05)]),
  ];
}

async function stragglersOurs(): Promise<readonly Line[]> {
  const ours = await stragglersOfOurs();
  const gates = [
    { what: "p99", value: ours.p99Ms, max: 18 },
    { what: "extra", value: ours.extra, max: 0.09 },
  ];
  return [line("stragglers, ours", ours, gates)];
}

function slowServerModels(): readonly Line[] {
  const published = { inTurn: 0.9545, leastLoaded: 0.9957, peakEwma: 0.9994 };
  return (["inTurn", "leastLoaded", "peakEwma"] as const).map((policy) => {
    const figures = slowServerModel(slowServerPolicies[policy]);
    const gate = { what: "within a second", value: figures.withinSecond, min: published[policy] - 0.003, max: published[policy] + 0.003 };
    return line(`slow server, ${policy}`, figures, [gate]);
  });
}

async function slowServerOurs(): Promise<readonly Line[]> {
  const ours = await slowServerOfOurs();
  const gates = [
    { what: "within a second", value: ours.withinSecond, min: 0.999 },
    { what: "extra", value: ours.extra, max: 0.09 },
  ];
  return [line("slow server, ours", ours, gates)];
}

function stormModels(): readonly Line[] {
  const [without, within] = [stormModel(stormHedgeAfterMs, Number.POSITIVE_INFINITY), stormModel(stormHedgeAfterMs, 0.1)];
  return [
    stormLine("storm, a hedge after its p97, no budget", without, [
      { what: "seconds until well", value: without.recoveredAfterMs / 1000, min: 20 },
      { what: "extra", value: without.extra, min: 0.47 },
    ]),
    stormLine("storm, a hedge after its p97, a budget of 10 %", within, [
      { what: "seconds until well", value: within.recoveredAfterMs / 1000, max: 20 },
      { what: "extra", value: within.extra, max: 0.1 },
    ]),
  ];
}

async function stormOurs(): Promise<readonly Line[]> {
  const ours = await stormOfOurs();
  const gates = [
    { what: "seconds until well", value: ours.recoveredAfterMs / 1000, max: 10 },
    { what: "extra", value: ours.extra, max: stormBudget(ours.calls) },
  ];
  return [stormLine("storm, ours", ours, gates)];
}

/** By part: the lines of others, which are small models, and ours, which is the library's own code. */
export const parts: Readonly<Record<string, { readonly models: () => readonly Line[]; readonly ours: () => Promise<readonly Line[]> }>> = {
  stragglers: { models: stragglerModels, ours: stragglersOurs },
  "slow-server": { models: slowServerModels, ours: slowServerOurs },
  storm: { models: stormModels, ours: stormOurs },
};
