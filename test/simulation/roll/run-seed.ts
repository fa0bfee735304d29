import { SeededRandom } from "../../../src/kernel/index.ts";
import { Deaths } from "./deaths.ts";
import { converge } from "./end.ts";
import { mend, planFaults } from "./faults.ts";
import { judge, look } from "./invariants.ts";
import { RouteCuts } from "./route-cuts.ts";
import { setStage } from "./stage.ts";

/** What a run achieved: a model that acknowledges nothing violates nothing, so the sums have floors. */
export interface Achieved {
  readonly offered: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly maybe: number;
  readonly settled: number;
  readonly reigns: number;
  readonly faults: number;
  /** Deaths of programs with entries that all others were held to know in time. */
  readonly deaths: number;
  /** Routes that were cut and that all others were held to know in time. */
  readonly cuts: number;
  /** Runs without faults other than such deaths. */
  readonly calm: number;
  /** Changes of ordering groups that programs asked for and that were acknowledged, and those that followed from the end of a server. */
  readonly groupChanges: number;
  readonly evictions: number;
  readonly events: number;
}

export interface SeedOptions {
  /** Routes are probed, over paths that lose packets and routes that are cut. */
  readonly liveness?: boolean;
  readonly trace?: (line: string) => void;
}

/** Virtual milliseconds: the fleet forms, faults come, then it must converge. */
const formMs = 400;
const faultsUntilMs = 3000;
/** The share of seeds in which nothing happens but deaths of programs, so that each must be known in time. */
const calmShare = 0.15;
const livenessCalmShare = 0.5;

/** One whole run: 1 directory, 2 relays, 10 agents, 20 programs, at least 200 changes and 5 faults. */
export async function runSeed(seed: number, options: SeedOptions = {}): Promise<Achieved> {
  const random = new SeededRandom(seed * 7 + 3);
  const { trace, liveness = false } = options;
  const isCalm = random.fraction() < (liveness ? livenessCalmShare : calmShare);
  const slow = !isCalm && random.fraction() < 0.3;
  const narrow = random.fraction() < 0.3;
  const stage = await setStage(seed, {
    latencyMs: [0.05, slow ? 20 : 1.5],
    windowBytes: narrow && !isCalm ? 2048 : 65_536,
    timerLatenessMs: random.fraction() < 0.3 ? 5 : 0,
    mixedProtocols: random.fraction() < 0.2,
    together: !isCalm && random.fraction() < 0.3,
    trace,
    ...(liveness ? { probes: true, loss: isCalm ? 0.1 : 0.02 } : {}),
  });
  const { world, slots, run, history, told, begunMs } = stage;
  const glance = () => {
    look(
      stage,
      slots.filter(() => random.fraction() < 0.12),
      random.fraction() < 0.2,
    );
    world.after(30 + 60 * random.fraction(), glance);
  };
  glance();
  await world.run(begunMs + formMs);
  const deaths = isCalm ? new Deaths(stage, random) : undefined;
  const cuts = liveness && deaths !== undefined ? new RouteCuts(stage, new SeededRandom(seed * 11 + 5), deaths) : undefined;
  cuts?.plan(begunMs + formMs + 600, begunMs + faultsUntilMs - 1000);
  const faults = 5 + Math.floor(random.fraction() * 6);
  if (deaths !== undefined) deaths.plan(begunMs + formMs, begunMs + faultsUntilMs - 1000);
  else planFaults(stage, random, faults, begunMs + formMs, begunMs + faultsUntilMs);
  await world.run(begunMs + faultsUntilMs + 150);
  if (deaths === undefined) mend(stage);
  trace?.(`${world.nowMs.toFixed(1)} MENDED`);
  await world.run(world.nowMs + 250);
  run.writing = false;
  await converge(stage);
  judge(stage);
  return {
    offered: told.length,
    acknowledged: told.filter(({ outcome }) => outcome === "ok").length,
    refused: told.filter(({ outcome }) => outcome === "refused").length,
    maybe: told.filter(({ outcome }) => outcome === "maybe" || outcome === "open").length,
    settled: run.settledCount,
    reigns: history.reigns,
    faults: deaths?.count ?? faults,
    deaths: deaths?.proven ?? 0,
    cuts: cuts?.proven ?? 0,
    calm: deaths === undefined ? 0 : 1,
    groupChanges: run.groupChanges.filter(({ outcome }) => outcome === "ok").length,
    evictions: history.groupEpochs - run.groupChanges.filter(({ outcome }) => outcome === "ok" || outcome === "maybe").length,
    events: world.events,
  };
}
