import { type Socket, connect } from "node:net";
import path from "node:path";
import { SeededRandom, isRecord, randomBelow } from "../../src/kernel/index.ts";
import { type BenchContext, type BenchResult, type ClosedLoopResult, ratioOf, resultOf } from "../bench.ts";
import { clientOf } from "../nodes.ts";

const services = 1000;
const runs = 5;
const allCores = `0-${navigator.hardwareConcurrency - 1}`;

/** Asks for the servers of one service; resolves with how many were named. */
interface Asker {
  ask(service: string): Promise<number>;
  close(): void | Promise<void>;
}

/** A program that holds nothing: each question goes to the agent. */
async function openThin(socketPath: string): Promise<Asker> {
  const client = await clientOf(socketPath, { want: [] });
  return {
    ask: async (key) => {
      const route = await client.query("find", { table: "metadata", key });
      return isRecord(route) && Array.isArray(route["alternates"]) ? 1 + route["alternates"].length : 0;
    },
    close: () => client.close(),
  };
}

/** Bare frames, the questions of a turn joined; the answer is parsed. */
async function openFloor(socketPath: string): Promise<Asker> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opening = connect(socketPath, () => resolve(opening));
    opening.once("error", reject);
  });
  const waiting = new Map<number, (count: number) => void>();
  let lastId = 0;
  let rest: Buffer | undefined;
  let queue: Buffer[] = [];
  socket.on("data", (chunk) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 8) {
      const end = at + 8 + bytes.readUInt32LE(at);
      if (end > bytes.length) break;
      const id = bytes.readUInt32LE(at + 4);
      const servers: unknown = JSON.parse(bytes.toString("utf8", at + 8, end));
      waiting.get(id)?.(Array.isArray(servers) ? servers.length : 0);
      waiting.delete(id);
      at = end;
    }
    rest = at < bytes.length ? bytes.subarray(at) : undefined;
  });
  const flush = () => {
    const frames = queue;
    queue = [];
    socket.write(frames.length === 1 ? (frames[0] ?? Buffer.alloc(0)) : Buffer.concat(frames));
  };
  return {
    ask: (service) =>
      new Promise((resolve) => {
        const frame = Buffer.allocUnsafe(8 + service.length);
        frame.writeUInt32LE(service.length, 0);
        lastId = (lastId + 1) >>> 0;
        frame.writeUInt32LE(lastId, 4);
        frame.write(service, 8, "latin1");
        waiting.set(lastId, resolve);
        if (queue.push(frame) === 1) process.nextTick(() => queueMicrotask(flush));
      }),
    close: () => void socket.destroy(),
  };
}

/** One asking process and one that answers; with one question in flight both on one core, or the scheduler is measured. */
async function measure(context: BenchContext, kind: "muster" | "floor", concurrency: number): Promise<ClosedLoopResult> {
  const socketPath = path.join(context.folder(), "agent.sock");
  const child = context.child(new URL("agent.ts", import.meta.url), [kind, socketPath, services]);
  await child.call("ready");
  const asker = kind === "floor" ? await openFloor(socketPath) : await openThin(socketPath);
  const random = new SeededRandom(7);
  const names = Array.from({ length: services }, (_, service) => `svc${service}`);
  if (concurrency === 1 && !context.pin([process.pid, child.pid], "0"))
    context.log("taskset is missing: the processes run where the system puts them");
  try {
    const result = await context.closedLoop(
      async () => {
        if ((await asker.ask(names[randomBelow(random, services)] ?? "")) !== 3) throw new Error("not three servers");
      },
      { concurrency, warmMs: 700, ms: 1500, pids: [child.pid] },
    );
    if (result.errors > 0) throw new Error(`${result.errors} questions failed`);
    return result;
  } finally {
    await asker.close();
    await child.kill();
    context.pin([process.pid], allCores);
  }
}

/** What a program pays that holds no replica and asks its host's agent, beside bare frames with a Map behind them. */
export async function remoteAskResults(context: BenchContext): Promise<readonly BenchResult[]> {
  context.log("a program without a replica asks its agent");
  const results: BenchResult[] = [];
  for (const concurrency of [1, 64]) {
    const sample = await context.repeat(runs, async () => {
      const floor = await measure(context, "floor", concurrency);
      const thin = await measure(context, "muster", concurrency);
      return {
        thin: thin.p50Ms * 1000,
        floor: floor.p50Ms * 1000,
        thinEach: 1e6 / thin.perSecond,
        floorEach: 1e6 / floor.perSecond,
        thinCpu: thin.cpuSecondsPerMillion,
        floorCpu: floor.cpuSecondsPerMillion,
      };
    });
    const label = `find by the agent over a unix socket, c = ${concurrency}`;
    const [ours, floor] = concurrency === 1 ? [sample.thin, sample.floor] : [sample.thinEach, sample.floorEach];
    const what = concurrency === 1 ? "p50" : "a question";
    results.push(
      resultOf(`${label}, ${what}`, "µs", ours),
      resultOf(`bare frames, a Map, JSON parsed, c = ${concurrency}, ${what}`, "µs", floor, { peer: true }),
      resultOf(`${label} ÷ bare frames`, "×", ratioOf(ours, floor), { goal: { max: 1.3 } }),
      resultOf(`${label}: processor time ÷ bare frames`, "×", ratioOf(sample.thinCpu, sample.floorCpu)),
    );
  }
  return results;
}
