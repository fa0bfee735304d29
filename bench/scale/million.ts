import { isRecord } from "../../src/kernel/index.ts";
import { type BenchContext, type BenchResult, resultOf } from "../bench.ts";

const entries = 1_000_000;
const runs = 3;

/** A million entries reach a fresh node in a process of its own, which is also where their memory is counted. */
export async function millionResults(context: BenchContext): Promise<readonly BenchResult[]> {
  const label = `${entries.toLocaleString("en")} entries`;
  context.log(`${label}: filling`);
  const source = context.child(new URL("source.ts", import.meta.url), ["muster", entries, "small"], {
    execArgv: ["--max-old-space-size=8000"],
  });
  const place = await source.call("place");
  const measure = async (what: string, argument: unknown) => {
    const child = context.child(new URL("replica.ts", import.meta.url), [], { execArgv: ["--max-old-space-size=8000"] });
    const news = await child.call(what, argument);
    await child.kill();
    if (!isRecord(news) || news["entries"] !== entries) throw new Error(`${what}: ${JSON.stringify(news)}`);
    context.log(`${label}: ${what} ${Math.round(Number(news["ms"]))} ms, ${Math.round(Number(news["bytes"]) / entries)} bytes an entry`);
    return { ms: Number(news["ms"]), cpuMs: Number(news["cpuMs"]), bytes: Number(news["bytes"]) / entries };
  };
  const sample = await context.repeat(runs, async () => {
    const replica = await measure("load", place);
    const map = await measure("fill", entries);
    return { ms: replica.ms, cpuMs: replica.cpuMs, bytes: replica.bytes, mapMs: map.ms, mapBytes: map.bytes };
  });
  await source.kill();
  return [
    resultOf(`${label}: snapshot loaded by a fresh node`, "ms", sample.ms, { goal: { max: 3000 } }),
    resultOf(`${label}: processor time of the fresh node for it`, "ms", sample.cpuMs),
    resultOf(`${label}: heap of the node, an entry`, "bytes", sample.bytes, { goal: { max: 400 } }),
    resultOf(`${label}: a Map of objects filled`, "ms", sample.mapMs, { peer: true }),
    resultOf(`${label}: heap of a Map of objects, an entry`, "bytes", sample.mapBytes, { peer: true }),
  ];
}
