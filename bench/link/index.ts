import { type Bench, type BenchContext, type BenchResult, type Child, type ClosedLoopOptions, ratioOf, resultOf } from "../bench.ts";
import { connectFloor } from "./floor.ts";
import { connectLink } from "./muster.ts";
import { type Asking, type Peer, peers, startBroker } from "./peers.ts";

/**
 * Request and answer of 100 bytes on one connection between two processes, as many in flight as each case says. A run is
 * floor, link, link with deadlines, one after the other, so that the ratios are of neighbours in time; then the peers.
 */
const runs = 5;
const peerRuns = 3;
const body = Buffer.alloc(100, "x");
const deadlineMs = 500;
const allCores = `0-${navigator.hardwareConcurrency - 1}`;

interface Measured {
  readonly perSecond: number;
  readonly cpu: number;
}

/** Starts an echo server of the kind for the time of `use`. */
async function withServer<T>(context: BenchContext, kind: string, ports: readonly number[], use: (child: Child) => Promise<T>): Promise<T> {
  const child = context.child(new URL("server.ts", import.meta.url), [kind, ...ports]);
  try {
    await child.call("ready");
    return await use(child);
  } finally {
    await child.kill();
  }
}

async function loop(context: BenchContext, asking: Asking, options: ClosedLoopOptions): Promise<Measured> {
  const first = await asking.ask();
  if (first !== body.length) throw new Error(`${first} bytes came back instead of ${body.length}`);
  const { perSecond, cpuSecondsPerMillion, errors } = await context.closedLoop(asking.ask, { warmMs: 700, ms: 2000, ...options });
  if (errors > 0) throw new Error(`${errors} requests failed`);
  return { perSecond, cpu: cpuSecondsPerMillion };
}

interface OurOptions {
  readonly concurrency: number;
  /** Ties both processes to one core: with one request in flight, what is measured otherwise is the scheduler. */
  readonly pinned?: boolean;
  readonly deadlines?: boolean;
}

async function askFloor(port: number): Promise<Asking> {
  const floor = await connectFloor(port);
  return { ask: async () => (await floor.ask(body)).length, close: floor.close };
}

async function askLink(port: number, deadlines: boolean): Promise<Asking> {
  const link = await connectLink(port);
  const options = { deadlineMs };
  const ask = deadlines ? () => link.call(1, body, options) : () => link.call(1, body);
  return { ask: async () => (await ask()).length, close: () => link.close() };
}

async function measureOurs(
  context: BenchContext,
  kind: "floor" | "link",
  { concurrency, pinned, deadlines }: OurOptions,
): Promise<Measured> {
  const port = await context.port();
  return withServer(context, kind, [port], async (child) => {
    const pids = [process.pid, child.pid];
    if (pinned === true && !context.pin(pids, "0")) context.log("taskset is missing: the processes run where the system puts them");
    const asking = kind === "floor" ? await askFloor(port) : await askLink(port, deadlines === true);
    try {
      return await loop(context, asking, { concurrency, pids: [child.pid] });
    } finally {
      await asking.close();
      if (pinned === true) context.pin([process.pid], allCores);
    }
  });
}

async function ourResults(context: BenchContext): Promise<readonly BenchResult[]> {
  const sample = await context.repeat(runs, async () => {
    const floor = await measureOurs(context, "floor", { concurrency: 64 });
    const link = await measureOurs(context, "link", { concurrency: 64 });
    const timed = await measureOurs(context, "link", { concurrency: 64, deadlines: true });
    return {
      floor: floor.perSecond,
      floorCpu: floor.cpu,
      link: link.perSecond,
      linkCpu: link.cpu,
      timed: timed.perSecond,
      timedCpu: timed.cpu,
    };
  });
  const alone = await context.repeat(runs, async () => {
    const floor = await measureOurs(context, "floor", { concurrency: 1, pinned: true });
    const link = await measureOurs(context, "link", { concurrency: 1, pinned: true });
    return { floor: floor.perSecond, link: link.perSecond };
  });
  return [
    resultOf("link, 100 bytes, c=64", "req/s", sample.link, { goal: { min: 450_000 } }),
    resultOf("link, 100 bytes, c=64, CPU", "s per million", sample.linkCpu),
    resultOf("link with a deadline on each call, c=64", "req/s", sample.timed, { goal: { min: 450_000 } }),
    resultOf("link with a deadline on each call, c=64, CPU", "s per million", sample.timedCpu),
    resultOf("floor: bare framed TCP, writes joined, c=64", "req/s", sample.floor, { peer: true }),
    resultOf("floor: bare framed TCP, c=64, CPU", "s per million", sample.floorCpu, { peer: true }),
    resultOf("link ÷ floor, c=64", "×", ratioOf(sample.link, sample.floor)),
    resultOf("link ÷ floor, c=64, CPU", "×", ratioOf(sample.linkCpu, sample.floorCpu)),
    resultOf("link, c=1, both on one core", "req/s", alone.link),
    resultOf("floor, c=1, both on one core", "req/s", alone.floor, { peer: true }),
    resultOf("link ÷ floor, c=1, both on one core", "×", ratioOf(alone.link, alone.floor)),
  ];
}

async function peerResults(context: BenchContext, peer: Peer): Promise<readonly BenchResult[]> {
  const broker = await startBroker(context, peer);
  if (broker === undefined) return [];
  const { ports, pids } = broker;
  const concurrency = 64;
  const sample = await withServer(context, peer.kind, ports, async (child) => {
    const asking = await peer.connect(ports, body, concurrency);
    try {
      return await context.repeat(peerRuns, async () => {
        const { perSecond, cpu } = await loop(context, asking, { concurrency, pids: [child.pid, ...pids] });
        return { perSecond, cpu };
      });
    } finally {
      await asking.close();
    }
  });
  return [
    resultOf(`${peer.name}, c=64`, "req/s", sample.perSecond, { peer: true }),
    resultOf(`${peer.name}, c=64, CPU`, "s per million", sample.cpu, { peer: true }),
  ];
}

export const bench: Bench = {
  name: "link",
  about: "request and answer on one link, 100 bytes, two processes, 64 in flight",
  run: async (context) => {
    const results = [...(await ourResults(context))];
    if (context.args.includes("ours")) return results;
    await context.peers();
    for (const peer of peers) {
      context.log(`${peer.name} …`);
      results.push(...(await peerResults(context, peer)));
    }
    return results;
  },
};
