import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { isRecord } from "../src/kernel/index.ts";
import { type Bench, type BenchResult, createContext } from "./bench.ts";

/** `npm run bench -- NAME [--json FILE] [more, for the bench]`: runs one bench, prints its table, writes its file. */
const limitMs = 24 * 60_000;
const benchFolder = import.meta.dirname;

function names(): string[] {
  return readdirSync(benchFolder, { withFileTypes: true, recursive: false })
    .filter((entry) => entry.isDirectory() && readdirSync(path.join(benchFolder, entry.name)).includes("index.ts"))
    .map((entry) => entry.name)
    .toSorted();
}

async function load(name: string): Promise<Bench> {
  const module: unknown = await import(pathToFileURL(path.join(benchFolder, name, "index.ts")).href);
  if (!isRecord(module) || !isBench(module["bench"])) throw new Error(`bench/${name}/index.ts does not export "bench"`);
  return module["bench"];
}

function isBench(value: unknown): value is Bench {
  return isRecord(value) && typeof value["name"] === "string" && typeof value["about"] === "string" && typeof value["run"] === "function";
}

const machine = {
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  system: `${process.platform} ${release()} ${process.arch}`,
  node: process.version,
  loadBefore: loadavg()[0] ?? 0,
};

function figure(value: number): string {
  const size = Math.abs(value);
  if (Number.isNaN(value)) return "-";
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  return size === 0 ? "0" : value.toPrecision(3);
}

function verdict(result: BenchResult): string {
  const { goal, median } = result;
  if (goal === undefined) return result.peer ? "peer" : "";
  const [text, reached, bound] =
    "max" in goal ? [`≤ ${figure(goal.max)}`, median <= goal.max, goal.max] : [`≥ ${figure(goal.min)}`, median >= goal.min, goal.min];
  if (reached) return `${text}: reached`;
  const distance = bound === 0 ? figure(median) : `${(Math.abs(median / bound - 1) * 100).toFixed(0)} %`;
  return `${text}: missed by ${distance}`;
}

function table(results: readonly BenchResult[]): string {
  const rows = results.map((result) => [
    result.name,
    `${figure(result.median)} ${result.unit}`,
    result.runs > 1 ? `${figure(result.min)} … ${figure(result.max)}` : "",
    String(result.runs),
    verdict(result),
  ]);
  const all = [["what", "median", "range", "runs", "goal"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: "string" } } });
  const [name, ...args] = positionals;
  if (name === undefined || !names().includes(name)) {
    if (name !== undefined) console.error(`There is no bench "${name}".`);
    console.error(`Usage: npm run bench -- NAME [--json FILE]\nNames: ${names().join(", ")}`);
    return 2;
  }
  const bench = await load(name);
  console.log(`${name}: ${bench.about}`);
  console.log(`${machine.cores} × ${machine.cpu}, ${machine.memoryGiB} GiB, Node ${machine.node}, load ${machine.loadBefore.toFixed(2)}`);
  if (machine.loadBefore > 0.5) console.log("The machine is not idle: expect wide ranges.");
  const context = createContext(args, (line) => console.log(`  ${line}`));
  let stop: (reason: Error) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  const limit = setTimeout(() => stop(new Error(`stopped after ${limitMs / 60_000} minutes`)), limitMs);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop(new Error(`stopped by ${signal}`)));
  try {
    const results = await Promise.race([bench.run(context), stopped]);
    console.log(`\n${table(results)}`);
    if (!results.some((result) => result.goal !== undefined)) throw new Error(`bench "${name}" gave no result with a goal`);
    if (values.json !== undefined) {
      mkdirSync(path.dirname(path.resolve(values.json)), { recursive: true });
      writeFileSync(values.json, `${JSON.stringify({ bench: name, machine, results }, undefined, 2)}\n`);
      console.log(`\nwritten: ${values.json}`);
    }
    return 0;
  } finally {
    clearTimeout(limit);
    await context.close();
  }
}

// Peers keep sockets and timers open; once the results are out nothing of the run is worth waiting for.
main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
