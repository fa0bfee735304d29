import { SeededRandom } from "../../../src/kernel/index.ts";
import { checkBounds, checkPairs, checkPrimaries, checkSettled, checkState } from "./checkers.ts";
import { mend, planFaults } from "./faults.ts";
import type { History } from "./history.ts";
import type { Slot } from "./slot.ts";
import { type Stage, setStage } from "./stage.ts";
import { violation } from "./violation.ts";
import { checkTold } from "./workload.ts";

/** What a run achieved: a model that acknowledges nothing violates nothing, so the sums have floors. */
export interface Achieved {
  readonly offered: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly maybe: number;
  readonly settled: number;
  readonly reigns: number;
  readonly faults: number;
  readonly events: number;
}

export interface SeedOptions {
  readonly trace?: (line: string) => void;
}

/** Virtual milliseconds: the fleet forms, faults come, then it must converge. */
const formMs = 600;
const faultsUntilMs = 4500;
const convergeMsMax = 12_000;

/** One whole run: 1 directory, 2 relays, 10 agents, 20 programs, at least 200 changes and 5 faults. */
export async function runSeed(seed: number, options: SeedOptions = {}): Promise<Achieved> {
  const random = new SeededRandom(seed * 7 + 3);
  const { trace } = options;
  const slow = random.fraction() < 0.3;
  const narrow = random.fraction() < 0.3;
  const stage = await setStage(seed, {
    latencyMs: [0.05, slow ? 20 : 1.5],
    windowBytes: narrow ? 2048 : 65_536,
    timerLatenessMs: random.fraction() < 0.3 ? 5 : 0,
    mixedProtocols: random.fraction() < 0.2,
    together: random.fraction() < 0.3,
    trace,
  });
  const { world, slots, run, history, told, begunMs } = stage;
  const look = () => {
    try {
      checkAll(
        stage,
        slots.filter(() => random.fraction() < 0.12),
      );
    } catch (thrown) {
      world.fail(thrown);
    }
    world.after(30 + 60 * random.fraction(), look);
  };
  look();
  await world.run(begunMs + formMs);
  const faults = 5 + Math.floor(random.fraction() * 6);
  planFaults(stage, random, faults, begunMs + formMs, begunMs + faultsUntilMs);
  await world.run(begunMs + faultsUntilMs + 200);
  mend(stage);
  trace?.(`${world.nowMs.toFixed(1)} MENDED`);
  await world.run(world.nowMs + 400);
  run.writing = false;
  await converge(stage);
  checkAll(stage, slots);
  const marks = run.marksNumber();
  if (marks === undefined) violation("I15", "the table of marks is gone");
  checkTold(told, history, marks);
  checkOwners(stage);
  return {
    offered: told.length,
    acknowledged: told.filter(({ outcome }) => outcome === "ok").length,
    refused: told.filter(({ outcome }) => outcome === "refused").length,
    maybe: told.filter(({ outcome }) => outcome === "maybe" || outcome === "open").length,
    settled: run.settledCount,
    reigns: history.reigns,
    faults,
    events: world.events,
  };
}

export function checkAll(stage: Stage, some: readonly Slot[]): void {
  for (const slot of some) {
    if (!slot.alive) continue;
    checkState(slot, stage.history);
    checkPrimaries(slot);
    checkPairs(slot);
    checkSettled(slot, stage.promised);
    checkBounds(slot);
    stage.programs.get(slot)?.checkShadow();
  }
}

function trouble(slot: Slot, history: History): string | undefined {
  const { node, name } = slot;
  const { openChanges, unwatched } = node.status();
  const whole = node.isReady && !node.detached && node.position.sequence === history.last && openChanges === 0 && unwatched === 0;
  if (whole) return undefined;
  return `${name} ready=${node.isReady} detached=${node.detached} at ${node.position.sequence} open=${String(openChanges)} unwatched=${String(unwatched)} ${node.lastError?.code ?? ""}`;
}

/** I29: after the last fault everybody is attached and equal within a stated time, and nothing is left open. */
export async function converge({ slots, history, world }: Stage): Promise<void> {
  const untilMs = world.nowMs + convergeMsMax;
  while (world.nowMs < untilMs && slots.some((slot) => trouble(slot, history) !== undefined)) await world.runFor(20);
  const behind = slots.map((slot) => trouble(slot, history)).filter((text) => text !== undefined);
  if (behind.length > 0)
    violation("I29", `after the last fault, committed ${history.last}: ${behind.slice(0, 4).join("; ")} (${behind.length} in all)`);
}

/** I12 at the end: a valid bound entry belongs to a program that lives. */
function checkOwners({ clients, history }: Stage): void {
  const living = new Set(clients.filter(({ alive }) => alive).map(({ node }) => Number(node.status()["session"])));
  for (const name of history.keys()) {
    const row = history.at(name, history.last);
    if (row === undefined || !row.valid || row.incarnation === 0) continue;
    const session = Number(row.owner.slice(row.owner.lastIndexOf("/") + 1));
    if (!living.has(session))
      violation("I12", `${name.slice(name.indexOf("\u0000") + 1)} is valid at the end, owned by ${row.owner}, whose program is gone`);
  }
}
