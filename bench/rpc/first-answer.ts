import { type BenchResult, type Child, ratioOf, resultOf } from "../bench.ts";
import { compiledCode } from "../cli-fleet.ts";
import { type Plan, loop } from "./measuring.ts";

/**
 * One request to three servers at once, one in flight: how long until the first of them has answered? The floor is a bare datagram to
 * a multicast group, answered by a bare datagram from each member.
 */
const servers = 3;
const warmMs = 500;
const goal = 2;
const runsMax = 3;

interface FirstAnswer {
  readonly p50Us: number;
  /** Requests that began at a server, for each request of the caller. */
  readonly executed: number;
}

type Word = "muster" | "datagrams" | "frames";

async function firstAnswer(plan: Plan, word: Word): Promise<FirstAnswer> {
  const { context, seconds } = plan;
  const words = await wordsOf(plan, word);
  const options = { env: compiledCode };
  const serving = new URL("serving.ts", import.meta.url);
  const calling = new URL("calling.ts", import.meta.url);
  const children = words.servers.map((one) => context.child(serving, [word, ...one], options));
  const caller = context.child(calling, [word, ...words.caller], options);
  try {
    await Promise.all(children.map((child) => child.call("serve")));
    await caller.call("open", 1);
    const before = await executedBy(children);
    const { p50Us, count } = await loop(caller, { concurrency: 1, warmMs: 0, ms: warmMs + seconds * 1000, pids: [] });
    return { p50Us, executed: ((await executedBy(children)) - before) / count };
  } finally {
    await Promise.all([caller, ...children].map((child) => child.kill()));
  }
}

interface Words {
  readonly servers: readonly (readonly (string | number)[])[];
  readonly caller: readonly (string | number)[];
}

async function wordsOf({ context, library, agents }: Plan, word: Word): Promise<Words> {
  const numbers = Array.from({ length: servers }, (_, index) => index + 1);
  if (word === "muster")
    return {
      servers: numbers.map((number) => [library, agents[0].socket, number]),
      caller: [library, agents[1].socket, servers, "all"],
    };
  const ports = new Set<number>();
  while (ports.size < servers) ports.add(await context.port());
  const [group = 0] = ports;
  return word === "datagrams"
    ? { servers: numbers.map(() => [group]), caller: [group] }
    : { servers: [...ports].map((port) => [port]), caller: [...ports] };
}

async function executedBy(children: readonly Child[]): Promise<number> {
  const counts = await Promise.all(children.map((child) => child.call("executed")));
  return counts.reduce<number>((sum, count) => sum + Number(count), 0);
}

export async function firstAnswerResults(plan: Plan): Promise<readonly BenchResult[]> {
  const { oursUs, executed, floorUs, framesUs } = await plan.context.repeat(Math.min(runsMax, plan.runs), async () => {
    const [datagrams, ours, frames] = [
      await firstAnswer(plan, "datagrams"),
      await firstAnswer(plan, "muster"),
      await firstAnswer(plan, "frames"),
    ];
    return { floorUs: datagrams.p50Us, oursUs: ours.p50Us, executed: ours.executed, framesUs: frames.p50Us };
  });
  const toAll = executed.median > servers - 0.1;
  if (!toAll) plan.context.log(`only ${executed.median.toFixed(2)} servers began each request that was meant for all`);
  return [
    resultOf("request to all of three, c=1: first answer p50", "µs", oursUs),
    resultOf("floor: datagram to a multicast group of three, c=1: first answer p50", "µs", floorUs, { peer: true }),
    resultOf("bare framed TCP to each of three, c=1: first answer p50", "µs", framesUs, { peer: true }),
    resultOf("request to all ÷ floor, first answer p50", "×", ratioOf(oursUs, floorUs), toAll ? { goal: { max: goal } } : {}),
    resultOf("servers that began a request to all of three", "servers", executed, { goal: { min: servers - 0.1 } }),
  ];
}
