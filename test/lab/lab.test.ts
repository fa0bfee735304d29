import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { judge, lackOfNamespaces, runInNamespaces, runSimulated, timeline, timelineText, verdictText } from "./index.ts";
import type { RunRecord, Scenario } from "./index.ts";
import { usualMs } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";

/** The full load is for `npm run lab`: builds share two cores with everything else. */
const requestsPerSecondMax = 100;
/** And a busy machine is late: what is judged here is that a fault is known and survived; the benches judge how fast. */
const lateness = 4;

function named(name: string): Scenario {
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`there is no scenario ${name}`);
  const requestsPerSecond = Math.min(scenario.load.requestsPerSecond, requestsPerSecondMax);
  return { ...scenario, load: { ...scenario.load, requestsPerSecond } };
}

function patient(scenario: Scenario): Scenario {
  const steps = (round: number) =>
    scenario
      .steps(round)
      .map((step) => (step.known === undefined ? step : { ...step, known: { ...step.known, withinMs: step.known.withinMs * lateness } }));
  const expect = scenario.expect.map((one) => (one.expect === "gap" ? { ...one, maxMs: one.maxMs * lateness } : one));
  return { ...scenario, steps, expect };
}

function assertMet(scenario: Scenario, record: RunRecord): void {
  const verdicts = judge(scenario, record);
  assert.ok(
    verdicts.every(({ ok }) => ok),
    `${verdictText(verdicts)}\n${timelineText(timeline(scenario, record))}`,
  );
}

const lack = lackOfNamespaces();

describe("fault experiments with real processes in network namespaces", { skip: lack?.what ?? false }, () => {
  const titles: readonly (readonly [name: string, title: string])[] = [
    ["killed-server", "[DSD-20] [DSD-22] [DSD-32] a killed server is known on every host and costs no request"],
    ["hung-server", "[DSD-20] [DSD-32] a hung server is known within its heartbeat's period and costs no request"],
    ["killed-relay", "[DSD-32] a killed relay costs no request and accuses nobody"],
    [
      "killed-metadata-servers",
      "[MRT-7] [MRT-8] metadata servers killed under load: each acknowledged write is there once, reads are as promised, no request fails",
    ],
  ];
  for (const [name, title] of titles)
    test(title, async () => {
      const scenario = patient(named(name));
      assertMet(scenario, await runInNamespaces(scenario, { durationMs: scenario.roundMs }));
    });
});

/** What some of them prove. */
const proofs: ReadonlyMap<string, string> = new Map([
  ["cut-route", "[DSD-17] [DSD-20] [DSD-32] "],
  ["cut-host", "[DSD-32] "],
  ["restarted-directory", "[DSD-32] "],
  ["hung-server", "[DSD-20] "],
  ["killed-metadata-servers", "[MRT-7] [MRT-8] "],
  ["stopped-metadata-server", "[MRT-7] "],
  ["cut-metadata-host", "[MRT-7] "],
]);

describe("the same experiments on virtual time", () => {
  for (const { name, about } of scenarios.filter(({ runsIn }) => runsIn?.includes("simulated") !== false))
    for (const seed of [1, 2])
      test(`${proofs.get(name) ?? ""}${name}, seed ${seed}: ${about}`, async () => {
        const scenario = named(name);
        assertMet(scenario, await runSimulated(scenario, { durationMs: usualMs(scenario, "simulated"), seed }));
      });
});
