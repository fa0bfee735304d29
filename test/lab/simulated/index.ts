/**
 * The same scenarios on virtual time: the product on simulated machines and networks, in one thread, repeated by a seed. It plays
 * 40 s in a few, and shows every message; what it cannot show is the system (sockets, signals, threads), which `namespaces/` has.
 */
import type { Deed, RunRecord, SaidLine, Sighting } from "../record.ts";
import { watchRoll } from "../programs/watch.ts";
import { type Scenario, observedHosts, plannedSteps } from "../scenario.ts";
import { SimLoad } from "./sim-load.ts";
import { SimStage } from "./sim-stage.ts";

export interface SimulatedRunOptions {
  readonly durationMs: number;
  readonly seed: number;
  readonly preset?: "lan" | "wan" | "test";
  /** Told what the members log, at level warn or worse. */
  readonly log?: (text: string) => void;
}

const settleMs = 2500;

export async function runSimulated(scenario: Scenario, options: SimulatedRunOptions): Promise<RunRecord> {
  const { durationMs, seed, preset = "lan", log = () => {} } = options;
  const said: SaidLine[] = [];
  const stage = new SimStage(scenario, { seed, preset, said: (line) => void said.push(line) });
  await stage.start();
  const { world } = stage.fleet;
  const sightings: Sighting[] = [];
  for (const name of observedHosts(scenario.fleet))
    watchRoll(
      stage.fleet.client(`observer ${name}`),
      name,
      () => world.nowMs,
      (sighting) => void sightings.push(sighting),
      (periodMs, run) => stage.every(periodMs, run),
    );
  const zeroMs = world.nowMs + settleMs;
  const load = new SimLoad(stage, scenario, (caller) => stage.askOf(caller));
  load.begin(zeroMs);
  const deeds: Deed[] = [];
  for (const { atMs, action, known } of plannedSteps(scenario, durationMs))
    world.at(zeroMs + atMs, () => {
      stage.act(action);
      deeds.push({ atMs, doneMs: atMs, action, ...(known === undefined ? {} : { known }) });
    });
  await world.run(zeroMs + durationMs);
  const loads = await load.end(zeroMs);
  const fromZero = <Timed extends { readonly atMs: number }>(list: readonly Timed[]) =>
    list.map((one) => ({ ...one, atMs: one.atMs - zeroMs }));
  for (const { process, line } of said) log(`${process}: ${line}`);
  return {
    scenario: scenario.name,
    runner: "simulated",
    durationMs,
    deeds,
    sightings: fromZero(sightings),
    ends: [],
    said: fromZero(said),
    loads,
  };
}
