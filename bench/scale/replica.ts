import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { serveParent, sleepMs } from "../bench.ts";
import { clientOf } from "../nodes.ts";
import { keyOf, smallValueOf, table } from "./entries.ts";

/** The child that has nothing yet: loads a roll, or fills a Map of objects, and says what that took. */
setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    if (typeof collect === "function") collect();
    await sleepMs(50);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

serveParent({
  load: async (place) => {
    const before = await heapBytes();
    const startMs = performance.now();
    const cpuBefore = process.cpuUsage();
    const client = await clientOf(String(place));
    const ms = performance.now() - startMs;
    const { user, system } = process.cpuUsage(cpuBefore);
    const entries = client.tables().find(({ name }) => name === table)?.entries ?? 0;
    const after = await heapBytes();
    return { ms, cpuMs: (user + system) / 1000, entries, bytes: after - before };
  },
  fill: async (count) => {
    const before = await heapBytes();
    const startMs = performance.now();
    const map = new Map<string, object>();
    for (let index = 0; index < Number(count); index++) map.set(keyOf(index), smallValueOf(index));
    const ms = performance.now() - startMs;
    const after = await heapBytes();
    return { ms, entries: map.size, bytes: after - before };
  },
});
