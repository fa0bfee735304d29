import { type Random, SeededRandom } from "../../../src/kernel/index.ts";
import { SimWorld } from "../../../src/testing/index.ts";
import { standardNormal } from "./distributions.ts";
import { type Figures, figuresOf } from "./figures.ts";
import { Scene } from "./scene.ts";

/**
 * The experiment of Linkerd's article of 2016 on load balancing: eleven servers that answer after 167 ± 5 ms, 1,000 requests a second for a
 * minute, one server that takes 2 s from second 15 to second 45. Published: 95 % (in turn), 99 % (least loaded) and 99.9 % (peak EWMA)
 * of the answers within a second.
 */
const servers = 11;
const durationMs = 60_000;
const gapMs = 1;
const slowFromMs = 15_000;
const slowToMs = 45_000;
const deadlineMs = 10_000;

function serviceMs(server: number, random: Random, atMs: number): number {
  return server === 0 && atMs >= slowFromMs && atMs < slowToMs ? 2000 : 167 + 5 * standardNormal(random);
}

/** What a policy may know of a server. */
interface Seen {
  pending: number;
  /** A cost that any longer answer raises at once and that decays otherwise (peak EWMA, 10 s). */
  costMs: number;
  atMs: number;
}

const decayMs = 10_000;

function observe(seen: Seen, tookMs: number, nowMs: number): void {
  const kept = Math.exp(-(nowMs - seen.atMs) / decayMs);
  seen.costMs = tookMs > seen.costMs ? tookMs : seen.costMs * kept + tookMs * (1 - kept);
  seen.atMs = nowMs;
}

/** Gives the index of a server. */
type Policy = (all: readonly Seen[], call: number, random: Random, nowMs: number) => number;

function least(all: readonly Seen[], load: (seen: Seen) => number, random: Random): number {
  const loads = all.map(load);
  const smallest = Math.min(...loads);
  const best = loads.flatMap((value, index) => (value === smallest ? [index] : []));
  return best[Math.floor(random.fraction() * best.length)] ?? 0;
}

export const slowServerPolicies = {
  inTurn: (all, call) => call % all.length,
  leastLoaded: (all, _call, random) => least(all, ({ pending }) => pending, random),
  peakEwma: (all, _call, random, nowMs) =>
    least(all, ({ costMs, atMs, pending }) => costMs * Math.exp(-(nowMs - atMs) / decayMs) * (pending + 1), random),
} as const satisfies Readonly<Record<string, Policy>>;

export function slowServerModel(policy: Policy, seed = 1): Figures {
  const world = new SimWorld({ seed });
  const random = new SeededRandom(seed + 1);
  const all = Array.from({ length: servers }, (): Seen => ({ pending: 0, costMs: 0, atMs: 0 }));
  const took: number[] = [];
  for (let call = 0; call * gapMs < durationMs; call++)
    world.at(call * gapMs, () => {
      const index = policy(all, call, random, world.nowMs);
      const seen = all[index];
      if (seen === undefined) throw new Error(`there is no server ${index}`);
      const tookMs = serviceMs(index, random, world.nowMs);
      seen.pending++;
      world.after(tookMs, () => {
        seen.pending--;
        observe(seen, tookMs, world.nowMs);
        took.push(tookMs);
      });
    });
  world.runSync(durationMs + deadlineMs);
  return figuresOf(took, took.length);
}

export async function slowServerOfOurs(seed = 1): Promise<Figures> {
  const scene = await Scene.open({ seed, servers, serving: "side-by-side", workMs: serviceMs, deadlineMs });
  await scene.openLoop(durationMs, () => gapMs);
  return figuresOf(
    scene.calls.map(({ tookMs }) => tookMs),
    scene.executed,
  );
}
