import { isRecord } from "../../src/kernel/index.ts";
import type { BenchContext, Child } from "../bench.ts";
import { compiledCode } from "../cli-fleet.ts";
import { type Place, servers } from "./contender.ts";
import { contenderNamed } from "./contenders.ts";

/** What is wrong with one of the servers while it is measured: nothing, SIGSTOP, or an endless loop. */
export type Trouble = "healthy" | "stopped" | "endless";

export interface Plan {
  readonly context: BenchContext;
  readonly library: string;
  readonly agents: readonly string[];
  readonly seconds: number;
}

export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Requests that servers began to work on, for each call; of a stuck server none count. */
  readonly executed: number;
  readonly failed: number;
  readonly cpuUs: number;
}

const warmMs = 1500;

/** Servers and a caller of its own for each measurement. Undefined where its broker cannot be had. */
export async function measure(plan: Plan, word: string, trouble: Trouble): Promise<Measured | undefined> {
  const { context, seconds } = plan;
  const place = await placeOf(plan, word);
  if (place === undefined) return undefined;
  const text = JSON.stringify(place);
  const options = { env: compiledCode };
  const serving = new URL("serving.ts", import.meta.url);
  const children = Array.from({ length: servers }, (_, index) => context.child(serving, [word, text, index], options));
  const caller = context.child(new URL("calling.ts", import.meta.url), [word, text], options);
  try {
    await Promise.all(children.map((child) => child.call("serve")));
    await caller.call("open");
    await caller.call("measure", warmMs);
    const counted = trouble === "healthy" ? children : children.slice(1);
    const before = await executedBy(counted);
    const ms = seconds * 1000;
    const measuring = caller.call("measure", ms);
    if (trouble === "stopped") void children[0]?.kill("SIGSTOP");
    if (trouble === "endless") await children[0]?.call("block", ms + warmMs);
    return measuredOf(await measuring, (await executedBy(counted)) - before);
  } finally {
    await Promise.all([caller, ...children].map((child) => child.kill()));
  }
}

async function placeOf({ context, library, agents }: Plan, word: string): Promise<Place | undefined> {
  const ports = new Set<number>();
  while (ports.size <= servers) ports.add(await context.port());
  const place = { library, agents, ports: [...ports] };
  if (contenderNamed(word).needs !== "broker") return place;
  if (!(await context.debian(["nats-server"]))) return undefined;
  const [port = 0] = place.ports;
  await context.server("nats-server", ["-a", "127.0.0.1", "-p", String(port)], port);
  return place;
}

async function executedBy(children: readonly Child[]): Promise<number> {
  const counts = await Promise.all(children.map((child) => child.call("executed")));
  return counts.reduce<number>((sum, count) => sum + Number(count), 0);
}

function measuredOf(result: unknown, executed: number): Measured {
  if (!isRecord(result)) throw new Error("the caller gave no result");
  const number = (name: string) => Number(result[name]);
  const count = number("count");
  return {
    perSecond: number("perSecond"),
    p50Ms: number("p50Ms"),
    p99Ms: number("p99Ms"),
    p999Ms: number("p999Ms"),
    maxMs: number("maxMs"),
    executed: executed / count,
    failed: number("failed"),
    cpuUs: (number("ownCpuSeconds") / count) * 1e6,
  };
}
