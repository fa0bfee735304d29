/**
 * `npm run lab -- SCENARIO [--seconds N] [--rate N] [--once] [--preset P] [--json FILE] [--simulated [--seed N]] [--list]`: plays one
 * scenario, prints a timeline of it and a line for each expectation. Exit code 0: all were met; 1: not all; 2: it could not be run.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { installDebian } from "../../scripts/debian.ts";
import { debianPackages, debianPackagesForSlow, lackOfCables, lackOfNamespaces, runInNamespaces, slowPlaces } from "./namespaces/index.ts";
import type { RunRecord } from "./record.ts";
import { type Scenario, usualMs } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { runSimulated } from "./simulated/index.ts";
import { loadText, timeline, timelineText, verdictText } from "./timeline.ts";
import { judge } from "./verdict.ts";

const usage = `usage: npm run lab -- SCENARIO [--seconds N] [--rate N] [--once] [--preset lan|wan|test] [--json FILE] [--simulated [--seed N]]
       npm run lab -- --list`;
const presets = ["lan", "wan", "test"] as const;

function refuse(cause: string, next: string): never {
  process.stderr.write(`${cause}\nNext: ${next}\n`);
  process.exit(2);
}

function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) refuse(`--${name} ${text} is not a positive number`, usage);
  return value;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string" },
    rate: { type: "string" },
    preset: { type: "string", default: "lan" },
    json: { type: "string" },
    simulated: { type: "boolean", default: false },
    seed: { type: "string" },
    once: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

if (values.list) {
  for (const { name, about, roundMs, runsIn } of scenarios)
    process.stdout.write(
      `${name}  (${roundMs / 1000} s a round${runsIn === undefined ? "" : `, only ${runsIn.join(", ")}`})\n    ${about}\n`,
    );
  process.exit(0);
}
const named = scenarios.find(({ name }) => name === positionals[0]);
if (named === undefined)
  refuse(
    positionals[0] === undefined ? "No scenario was named." : `There is no scenario "${positionals[0]}".`,
    `${usage}\nScenarios: ${scenarios.map(({ name }) => name).join(", ")}`,
  );
const preset = presets.find((name) => name === values.preset) ?? refuse(`There is no preset "${values.preset}".`, usage);
const runner = values.simulated ? "simulated" : "namespaces";
const durationMs = (numberOf("seconds", values.seconds) ?? usualMs(named, runner) / 1000) * 1000;
if (durationMs < named.roundMs)
  refuse(`A round of ${named.name} lasts ${named.roundMs / 1000} s.`, `--seconds ${named.roundMs / 1000} or more`);
const scenario: Scenario = {
  ...named,
  load: {
    ...named.load,
    requestsPerSecond: numberOf("rate", values.rate) ?? named.load.requestsPerSecond,
    asking: values.once ? "once" : "request",
  },
};
if (values.simulated && values.once) refuse("Simulated callers have no HTTP.", "leave --once or --simulated away");
if (scenario.runsIn?.includes(runner) === false)
  refuse(`${scenario.name} does not run ${runner}.`, `it runs in ${scenario.runsIn.join(" and ")}`);

const say = (text: string) => void process.stdout.write(`${text}\n`);

async function real(): Promise<RunRecord> {
  const needsCables = slowPlaces(scenario).length > 0;
  await installDebian([...debianPackages, ...(needsCables && lackOfCables() !== undefined ? debianPackagesForSlow : [])], say);
  const lack = lackOfNamespaces() ?? (needsCables ? lackOfCables() : undefined);
  if (lack !== undefined) refuse(lack.what, lack.next);
  const stopped = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => stopped.abort());
  say(
    `${scenario.fleet.hosts.length} hosts in network namespaces, ${scenario.fleet.networks} networks, ${scenario.load.requestsPerSecond} requests a second …`,
  );
  return runInNamespaces(scenario, { durationMs, preset, log: say, signal: stopped.signal });
}

const seed = numberOf("seed", values.seed) ?? 1;
const record = await (values.simulated ? runSimulated(scenario, { durationMs, preset, seed }) : real()).catch((thrown: unknown) => {
  process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exit(1);
});
const verdicts = judge(scenario, record);
const lines = timeline(scenario, record);
say(`\n${scenario.name}: ${scenario.about}\n\n${timelineText(lines)}\n\n${loadText(record.loads)}\n\n${verdictText(verdicts)}`);
if (values.json !== undefined)
  writeFileSync(
    values.json,
    `${JSON.stringify({ scenario: scenario.name, runner, seconds: durationMs / 1000, preset, load: scenario.load, verdicts, loads: record.loads, timeline: lines, deeds: record.deeds, ends: record.ends }, undefined, 1)}\n`,
  );
// What went into a pipe is lost at an exit until it has been taken.
process.stdout.write("", () => process.exit(verdicts.every(({ ok }) => ok) ? 0 : 1));
