/**
 * `node test/simulation/requests/run.ts --seeds N [--from S] [--trace]`: requests under faults on virtual time. A failing seed is printed;
 * the exit code is 0 when nothing was violated.
 */
import { parseArgs } from "node:util";
import { runRequestsSeed } from "./run-seed.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
  },
});
const from = Number(values.from);
const trace = values.trace ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
if (!values.trace) Error.stackTraceLimit = 0;
const sums = new Map<string, number>();
let failures = 0;
for (let seed = from; seed < from + Number(values.seeds); seed++)
  try {
    for (const [name, value] of Object.entries(await runRequestsSeed(seed, trace))) sums.set(name, (sums.get(name) ?? 0) + value);
  } catch (thrown) {
    failures++;
    process.stdout.write(`seed ${seed}: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  }
const means = [...sums].map(([name, sum]) => `${name} ${(sum / Number(values.seeds)).toFixed(1)}`);
process.stdout.write(`per seed: ${means.join(", ")}\n${failures === 0 ? "no violation" : `FAILED: ${failures}`}\n`);
process.exitCode = failures === 0 ? 0 : 1;
