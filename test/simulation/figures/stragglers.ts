import { type Random, SeededRandom } from "../../../src/kernel/index.ts";
import { lognormal } from "./distributions.ts";
import { type Figures, figuresOf } from "./figures.ts";
import { Scene } from "./scene.ts";

/**
 * The table of bhope/hedge: answers after 5 ms (lognormal, standard deviation 2 ms), one of twenty takes ten times as long, 20 callers
 * in a closed loop, 50,000 calls, no queues. Published: p99 64.3 ms without hedges, 17.4 ms (+7.4 % requests) with one after 10 ms, 54.7 ms
 * (+2.1 %) after 50 ms, 17.0 ms (+8.9 %) with an adaptive delay and a budget of 10 %.
 */
const stragglerShare = 0.05;
const stragglerFactor = 10;
const callers = 20;
const servers = 5;
const deadlineMs = 5000;

export const stragglerCalls = 50_000;

export function stragglerMs(random: Random): number {
  const ms = lognormal(random, 5, 2);
  return random.fraction() < stragglerShare ? ms * stragglerFactor : ms;
}

/** One hedge after a fixed time, without a queue anywhere: two draws are all there is to it. */
export function stragglersModel(hedgeAfterMs: number, calls = stragglerCalls, seed = 1): Figures {
  const random = new SeededRandom(seed);
  let executed = 0;
  const tookMs = Array.from({ length: calls }, () => {
    const first = stragglerMs(random);
    executed += first > hedgeAfterMs ? 2 : 1;
    return first > hedgeAfterMs ? Math.min(first, hedgeAfterMs + stragglerMs(random)) : first;
  });
  return figuresOf(tookMs, executed);
}

export async function stragglersOfOurs(calls = stragglerCalls, seed = 1): Promise<Figures> {
  const workMs = (_server: number, random: Random) => stragglerMs(random);
  const scene = await Scene.open({ seed, servers, serving: "side-by-side", workMs, deadlineMs });
  await scene.closedLoop(calls, callers);
  return figuresOf(
    scene.calls.map(({ tookMs }) => tookMs),
    scene.executed,
  );
}
