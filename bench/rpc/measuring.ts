import { isRecord } from "../../src/kernel/index.ts";
import type { BenchContext, Child } from "../bench.ts";
import { type CliNode, compiledCode } from "../cli-fleet.ts";
import { startBroker } from "../link/peers.ts";
import { type LoopPlan, wayNamed } from "./way.ts";

export interface Plan {
  readonly context: BenchContext;
  readonly seconds: number;
  readonly runs: number;
  /** The door of the library. */
  readonly library: string;
  /** The agents of the server's and of the caller's host. */
  readonly agents: readonly [CliNode, CliNode];
  /** The folder that profiles of our two processes go to; undefined: none are made. */
  readonly profiles: string | undefined;
}

export interface Measured {
  readonly perSecond: number;
  /** Processor seconds of both processes, and of a broker between them, per million requests. */
  readonly cpu: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface Case {
  readonly concurrency: number;
  /** Ties both processes to one core: with one request in flight, what is measured otherwise is the scheduler. */
  readonly pinned: boolean;
}

const warmMs = 1000;

/** A server and a caller of its own for each measurement. Undefined where its broker cannot be had. */
export async function measure(plan: Plan, word: string, { concurrency, pinned }: Case): Promise<Measured | undefined> {
  const { context, seconds, library, agents, profiles } = plan;
  const { peer, of } = wayNamed(word);
  const broker = of === undefined ? { ports: [await context.port()], pids: [] } : await startBroker(context, of);
  if (broker === undefined) return undefined;
  const words = (agent: CliNode) => (peer ? broker.ports : [library, agent.socket]);
  const execArgv = profiles === undefined || peer ? [] : ["--cpu-prof", "--cpu-prof-dir", profiles];
  const options = { env: compiledCode, execArgv };
  const server = context.child(new URL("serving.ts", import.meta.url), [word, ...words(agents[0])], options);
  const caller = context.child(new URL("calling.ts", import.meta.url), [word, ...words(agents[1])], options);
  try {
    await server.call("serve");
    await caller.call("open", concurrency);
    if (pinned && !context.pin([server.pid, caller.pid], "0"))
      context.log("taskset is missing: the processes run where the system puts them");
    return await loop(caller, { concurrency, warmMs, ms: seconds * 1000, pids: [server.pid, ...broker.pids] });
  } finally {
    if (execArgv.length > 0) await Promise.all([orderlyEnd(caller), orderlyEnd(server)]);
    await Promise.all([caller.kill(), server.kill()]);
  }
}

export async function loop(caller: Child, plan: LoopPlan): Promise<Measured & { readonly count: number }> {
  const result = await caller.call("measure", plan);
  if (!isRecord(result)) throw new Error("the caller gave no result");
  const number = (name: string) => Number(result[name]);
  if (number("errors") > 0) throw new Error(`${number("errors")} requests failed`);
  return {
    count: number("count"),
    perSecond: number("perSecond"),
    cpu: number("cpuSecondsPerMillion"),
    p50Us: number("p50Ms") * 1000,
    p99Us: number("p99Ms") * 1000,
  };
}

async function orderlyEnd(child: Child): Promise<void> {
  await child.call("end");
  await child.gone;
}
