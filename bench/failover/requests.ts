import { type BenchContext, type BenchResult, sharedNowMs, sleepMs } from "../bench.ts";
import { compiledCode } from "../cli-fleet.ts";
import { type Contender, type Fault, deadlineMs, serverCount, serviceTimeMs } from "./contender.ts";
import { contenderNamed } from "./contenders.ts";
import { type Cut, cutNames, cuts, lackOfHosts, underCut } from "./cuts.ts";
import { endLoad } from "./loading.ts";
import { type Seen, outcomeResults, seenOf } from "./outcome.ts";

const warmMs = 2500;
/** Requests that were under way at the fault count too. */
const beforeMs = 200;
const observedMs = 5000;
/** After so long no further run begins: what there is by then is told. */
const budgetMs = 15 * 60_000;

export const faults: readonly (Fault | Cut)[] = ["killed", "hung", "directory", "relay", ...cuts];

const faultNames: Readonly<Record<Fault | Cut, string>> = {
  killed: "killed server",
  hung: "hung server",
  directory: "directory, broker or proxy restarted",
  relay: "relay killed",
  ...cutNames,
};

export interface RequestsPlan {
  /** Contenders. */
  readonly words: readonly string[];
  readonly faults: readonly (Fault | Cut)[];
  readonly perSecond: number;
  readonly runs: number;
  readonly library: string;
}

/** Everything on loopback and started anew; undefined when that fault means nothing to the contender. */
async function underFault(context: BenchContext, plan: RequestsPlan, word: string, fault: Fault): Promise<Seen | undefined> {
  const { perSecond, library } = plan;
  const contender = contenderNamed(word);
  const arena = await contender.arrange(context, library);
  const act = arena.faults[fault];
  const hitsServer = fault === "killed" || fault === "hung";
  if (!hitsServer && act === undefined) {
    await arena.close();
    return undefined;
  }
  const place = JSON.stringify(arena.place);
  const options = { env: compiledCode };
  const serving = new URL("serving.ts", import.meta.url);
  const servers = Array.from({ length: serverCount }, (_, index) => context.child(serving, [word, place, index], options));
  const caller = context.child(new URL("calling.ts", import.meta.url), [word, place], options);
  try {
    await Promise.all(servers.map((server) => server.call("serve")));
    await caller.call("open");
    const faultMs = sharedNowMs() + warmMs + Math.random() * 500;
    let toldMs = Number.NaN;
    caller.on("lost", (atMs) => {
      if (Number.isNaN(toldMs) && Number(atMs) >= faultMs) toldMs = Number(atMs) - faultMs;
    });
    await caller.call("begin", { perSecond, countFromMs: faultMs - beforeMs });
    await sleepMs(Math.max(0, faultMs - sharedNowMs()));
    if (hitsServer) void servers[0]?.kill(fault === "killed" ? "SIGKILL" : "SIGSTOP");
    else await act?.();
    await sleepMs(Math.max(0, faultMs + observedMs - sharedNowMs()));
    return seenOf(context, `${faultNames[fault]}, ${contender.name}`, await endLoad(caller), requestsOf(plan), toldMs);
  } finally {
    await Promise.all([caller, ...servers].map((child) => child.kill()));
    await arena.close();
  }
}

function requestsOf({ perSecond }: RequestsPlan): number {
  return ((beforeMs + observedMs) * perSecond) / 1000;
}

function isCut(fault: Fault | Cut): fault is Cut {
  return cuts.some((cut) => cut === fault);
}

async function experiment(context: BenchContext, plan: RequestsPlan, word: string, fault: Fault | Cut): Promise<Seen | undefined> {
  const contender = contenderNamed(word);
  if (!(await context.debian(contender.debian))) return undefined;
  if (contender.peer) await context.peers();
  try {
    if (!isCut(fault)) return await underFault(context, plan, word, fault);
    const load = { ...plan, beforeMs, observedMs };
    return await underCut(context, word, fault, load);
  } catch (error) {
    // A peer that does not come up must not cost the figures of the others; ours must not hide.
    if (!contender.peer) throw error;
    context.log(`${faultNames[fault]}, ${contender.name}: not measured: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** What callers see of a single fault: requests that failed, the longest gap, the slowest answer. */
export async function requestResults(context: BenchContext, plan: RequestsPlan): Promise<readonly BenchResult[]> {
  const { words, perSecond, runs } = plan;
  const lowered = perSecond < 1000 ? "; the rate was lowered for all alike" : "";
  context.log(`${perSecond} reads a second, ${serverCount} servers, service time ${serviceTimeMs} ms, deadline ${deadlineMs} ms${lowered}`);
  const lack = plan.faults.some(isCut) ? await lackOfHosts(context) : undefined;
  if (lack !== undefined) context.log(`without ${cuts.join(" and ")}: ${lack}`);
  const possible = plan.faults.filter((fault) => lack === undefined || !isCut(fault));
  const seen = new Map<string, Seen[]>();
  const untilMs = performance.now() + budgetMs;
  const all = Array.from({ length: runs }, (_, run) => possible.flatMap((fault) => words.map((word) => ({ run, fault, word })))).flat();
  // Everybody once, then ours, whose failures must show; then peers again while there is time.
  const [first, again] = [all.filter(({ run }) => run === 0), all.filter(({ run }) => run > 0)];
  const ours = again.filter(({ word }) => !contenderNamed(word).peer);
  const peers = again.filter(({ word }) => contenderNamed(word).peer);
  for (const { run, fault, word } of [...first, ...ours, ...peers]) {
    const name = `${fault} ${word}`;
    if (run > 0 && !seen.has(name)) continue;
    if (run > 0 && performance.now() > untilMs) {
      context.log(`${budgetMs / 60_000} minutes are over: what is left of run ${run + 1} and later is not done`);
      break;
    }
    const one = await experiment(context, plan, word, fault);
    if (one !== undefined) seen.set(name, [...(seen.get(name) ?? []), one]);
  }
  return possible.flatMap((fault) =>
    words.flatMap((word) => {
      const list = seen.get(`${fault} ${word}`);
      const contender: Contender = contenderNamed(word);
      return list === undefined ? [] : outcomeResults(`${faultNames[fault]}, ${contender.name}`, contender, list, requestsOf(plan));
    }),
  );
}
