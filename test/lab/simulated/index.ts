/**
 * The same scenarios on virtual time: the product on simulated machines and networks, in one thread, repeated by a seed. It plays
 * 40 s in a few, and shows every message; what it cannot show is the system (sockets, signals, threads), which `namespaces/` has.
 */
import { historyFrom } from "../histories/work.ts";
import type { Deed, RunRecord, SaidLine, Sighting } from "../record.ts";
import { watchRoll } from "../programs/watch.ts";
import { type Action, type Scenario, type Strike, observedHosts, plannedSteps } from "../scenario.ts";
import { Strikes, strikeWaitMsMax } from "../strikes.ts";
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
  const load = new SimLoad(stage, scenario, seed);
  load.begin(zeroMs);
  const deeds: Deed[] = [];
  const strikes = new Strikes(scenario.fleet, {
    group: (instance) => stage.group(instance),
    isUp: (name) => stage.member(name).alive,
  });
  const strike = (planned: Strike, untilMs = world.nowMs + strikeWaitMsMax) => {
    if (!strikes.isTime(planned)) {
      if (world.nowMs < untilMs) world.after(20, () => strike(planned, untilMs));
      return;
    }
    const blow = strikes.begin(planned);
    if (blow === undefined) return;
    const { first, last, struck } = blow;
    const act = (action: Action, more: Partial<Deed> = {}) => {
      stage.act(action);
      const atMs = world.nowMs - zeroMs;
      deeds.push({ atMs, doneMs: atMs, action, ...more });
    };
    act(first, { struck });
    world.after(planned.forMs, () => {
      act(last);
      strikes.end(blow);
    });
  };
  for (const { atMs, action, known } of plannedSteps(scenario, durationMs))
    world.at(zeroMs + atMs, () => {
      if (action.do === "strike") {
        strike(action);
        return;
      }
      stage.act(action);
      deeds.push({ atMs, doneMs: atMs, action, ...(known === undefined ? {} : { known }) });
    });
  await world.run(zeroMs + durationMs);
  const loads = await load.end(zeroMs);
  const history = await load.history();
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
    ...(history === undefined ? {} : { history: historyFrom(history, zeroMs) }),
  };
}
