/**
 * Real fleets for fault experiments: hosts are network namespaces, networks are bridges, programs are processes. What is cut is
 * cut in the bridges, so nobody is told. Rejected: loopback addresses and rules between them (a cut would show in every process
 * of the machine), containers (an image and a daemon for what four system calls do), a proxy between programs (it would answer
 * connection requests that nobody answers).
 */
import { monoMs } from "../programs/parent.ts";
import type { RunRecord } from "../record.ts";
import { type Scenario, plannedSteps } from "../scenario.ts";
import { historyFrom } from "../histories/work.ts";
import { workPatienceMs } from "../histories/working.ts";
import { Strikes } from "../strikes.ts";
import { reportFrom } from "../tally.ts";
import { type Cast, musterCast } from "./cast.ts";
import { newRunId, removeLeftOvers, removeRun } from "./run-id.ts";
import { Script } from "./script.ts";
import { Stage } from "./stage.ts";

export { type Cast, type Surroundings, musterCast } from "./cast.ts";
export { LabProcess, type Program } from "./lab-process.ts";
export { type Lack, debianPackages, debianPackagesForSlow, lackOfCables, lackOfNamespaces } from "./requirements.ts";
export { newRunId, removeLeftOvers, removeRun } from "./run-id.ts";
export { Stage, slowPlaces } from "./stage.ts";
export { Wires, type WiresOptions } from "./wires.ts";

export interface NamespaceRunOptions {
  readonly durationMs: number;
  readonly cast?: Cast;
  /** Of the nodes; default lan. */
  readonly preset?: "lan" | "wan" | "test";
  /** Told what happens, for people who watch. */
  readonly log?: (text: string) => void;
  /** Ends the run before its time; everything is cleared away. */
  readonly signal?: AbortSignal;
}

/** First requests, with cold code and new connections, are not what is measured; and a route has to be proven before it is cut. */
const warmUpMs = 2500;

/** Sets the stage, plays the scenario for so long, and clears everything away, also when it fails. */
export async function runInNamespaces(scenario: Scenario, options: NamespaceRunOptions): Promise<RunRecord> {
  const { durationMs, cast = musterCast, preset = "lan", log = () => {}, signal } = options;
  for (const name of await removeLeftOvers()) log(`removed what a dead run had left: ${name}`);
  const run = newRunId();
  try {
    const stage = await Stage.set(scenario, { run, cast, preset, log });
    signal?.throwIfAborted();
    try {
      return await play(stage, durationMs, log, signal);
    } finally {
      await stage.close();
    }
  } finally {
    await removeRun(run);
  }
}

async function play(stage: Stage, durationMs: number, log: (text: string) => void, signal: AbortSignal | undefined): Promise<RunRecord> {
  const { scenario } = stage;
  const callers = stage.processes.filter(({ name }) => name.startsWith("caller "));
  const zeroMs = monoMs() + warmUpMs;
  for (const caller of callers)
    caller.order({ order: "begin", requestsPerSecond: scenario.load.requestsPerSecond / callers.length, countFromMs: zeroMs });
  const script = new Script(
    new Strikes(scenario.fleet, {
      group: (instance) => stage.group(instance),
      isUp: (name) => stage.process(name).isReady,
    }),
    zeroMs,
    {
      act: (action) => stage.act(action),
      until: (atMs) => until(atMs, signal),
      log,
    },
  );
  await script.play(plannedSteps(scenario, durationMs));
  await until(zeroMs + durationMs + script.lateMs, signal);
  for (const caller of callers) if (caller.alive) caller.order({ order: "end" });
  for (const one of stage.processes) if (one.alive && one.name.startsWith("observer ")) one.order({ order: "tell" });
  const { deadlineMs, work } = scenario.load;
  const reportedMs = monoMs() + (work === undefined ? deadlineMs : workPatienceMs(deadlineMs)) + 3000;
  while (callers.some(({ name }) => !stage.reports.has(name)) && monoMs() < reportedMs) await until(monoMs() + 20, signal);
  const silent = callers.filter(({ name }) => !stage.reports.has(name)).map(({ name }) => name);
  if (silent.length > 0) throw new Error(`no report from ${silent.join(", ")}`);
  if (work !== undefined) {
    callers[0]?.order({ order: "read-kept" });
    const keptMs = monoMs() + workPatienceMs(deadlineMs);
    while (stage.kept === undefined && monoMs() < keptMs) await until(monoMs() + 20, signal);
  }
  const fromZero = <Timed extends { readonly atMs: number }>(list: readonly Timed[]) =>
    list.map((one) => ({ ...one, atMs: one.atMs - zeroMs }));
  return {
    scenario: scenario.name,
    runner: "namespaces",
    durationMs,
    deeds: script.deeds,
    sightings: fromZero(stage.sightings).toSorted((a, b) => a.atMs - b.atMs),
    ends: fromZero(stage.ends),
    said: fromZero(stage.said),
    loads: [...stage.reports.values()].flat().map((report) => reportFrom(report, zeroMs)),
    ...(work === undefined ? {} : { history: historyFrom({ operations: stage.operations, kept: stage.kept ?? [] }, zeroMs) }),
  };
}

function until(atMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new Error("the run was stopped"));
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      },
      Math.max(0, atMs - monoMs()),
    );
    if (signal?.aborted === true) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
