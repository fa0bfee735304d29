import { type Random, SeededRandom } from "../../../src/kernel/index.ts";
import { SimWorld } from "../../../src/testing/index.ts";
import { exponential } from "./distributions.ts";
import { quantile } from "./figures.ts";
import { type Call, Scene } from "./scene.ts";

/**
 * Ten servers that work on one request after the other (10 ms, exponential) under 70 % load; for five seconds all of them take three
 * times as long. The class is that of metastable failures (OSDI 2022): copies and re-sends are work, work makes answers late, and late
 * answers make copies, so a fleet without a budget stays broken after what broke it is over.
 */
const servers = 10;
const meanMs = 10;
const load = 0.7;
const faultFromMs = 20_000;
const faultToMs = 25_000;
const durationMs = 50_000;
const faultFactor = 3;
const deadlineMs = 2000;
/** p97 of queues at 70 % load to which requests go at random, 10 ms ÷ (1 − 0.7) × ln 37; at p95 they break down without any fault. */
export const stormHedgeAfterMs = 120;
const windowMs = 1000;
/** So much worse than before the fault counts as healthy again. */
const healthyFactor = 2;

/** What the library's budget allows by default: a share of the calls, and what it had saved up. */
export function stormBudget(calls: number): number {
  return 0.1 + 100 / calls;
}

export interface StormFigures {
  readonly calls: number;
  readonly healthyP99Ms: number;
  /** From the end of the fault until the first second from which on all are healthy again; Infinity when there is none. */
  readonly recoveredAfterMs: number;
  /** Requests that servers began beyond one for each call, as a share of the calls. */
  readonly extra: number;
  readonly failed: number;
}

function workMs(_server: number, random: Random, atMs: number): number {
  return exponential(random, meanMs) * (atMs >= faultFromMs && atMs < faultToMs ? faultFactor : 1);
}

const gapMs = (random: Random) => exponential(random, meanMs / servers / load);

/** p99 of the calls that began in each second. */
function windowsOf(calls: readonly Call[]): readonly number[] {
  const windows = Array.from({ length: durationMs / windowMs }, (): number[] => []);
  for (const { startMs, tookMs } of calls) windows[Math.floor(startMs / windowMs)]?.push(tookMs);
  return windows.map((list) => quantile(Float64Array.from(list).sort(), 0.99));
}

function stormFiguresOf(calls: readonly Call[], executed: number): StormFigures {
  const windows = windowsOf(calls);
  const healthyP99Ms = quantile(Float64Array.from(windows.slice(2, faultFromMs / windowMs)).sort(), 0.5);
  const isIll = (p99Ms: number) => p99Ms === Number.POSITIVE_INFINITY || p99Ms > healthyP99Ms * healthyFactor;
  const lastIll = windows.findLastIndex(isIll);
  const recovered = lastIll < windows.length - 1;
  return {
    calls: calls.length,
    healthyP99Ms,
    recoveredAfterMs: recovered ? Math.max(0, (lastIll + 1) * windowMs - faultToMs) : Number.POSITIVE_INFINITY,
    extra: executed / calls.length - 1,
    failed: calls.filter(({ tookMs }) => tookMs === Number.POSITIVE_INFINITY).length,
  };
}

/** One hedge after a fixed time at another server, never cancelled; without `share` there is no budget. */
export function stormModel(hedgeAfterMs: number, share: number, seed = 1): StormFigures {
  const world = new SimWorld({ seed });
  const random = new SeededRandom(seed + 1);
  const freeAtMs = new Float64Array(servers);
  const calls: Call[] = [];
  let sent = 0;
  let saved = 0;
  const send = (answered: () => void) => {
    const server = Math.floor(random.fraction() * servers);
    const beginMs = Math.max(world.nowMs, freeAtMs[server] ?? 0);
    const endMs = beginMs + workMs(server, random, beginMs);
    freeAtMs[server] = endMs;
    sent++;
    world.at(endMs, answered);
  };
  const call = () => {
    if (world.nowMs >= durationMs) return;
    const startMs = world.nowMs;
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      const tookMs = world.nowMs - startMs;
      calls.push({ startMs, tookMs: tookMs > deadlineMs ? Number.POSITIVE_INFINITY : tookMs });
    };
    saved += share;
    send(end);
    world.after(hedgeAfterMs, () => {
      if (isOver || saved < 1) return;
      saved--;
      send(end);
    });
    world.after(gapMs(random), call);
  };
  call();
  world.runSync(Number.POSITIVE_INFINITY);
  return stormFiguresOf(calls, sent);
}

export async function stormOfOurs(seed = 1): Promise<StormFigures> {
  const scene = await Scene.open({ seed, servers, serving: "in-turn", workMs, deadlineMs });
  await scene.openLoop(durationMs, () => gapMs(scene.random));
  return stormFiguresOf(scene.calls, scene.executed);
}
