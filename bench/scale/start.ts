import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type BenchContext, type BenchResult, processResidentBytes, resultOf, sampleOf, sleepMs } from "../bench.ts";
import { nodeOf } from "../nodes.ts";
import { parseAddress } from "../../src/transport/index.ts";
import { table } from "./entries.ts";

const starts = 20;
const entries = 3000;
const giveUpMs = 10_000;
const root = fileURLToPath(new URL("../..", import.meta.url));

function run(file: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(file, args, { cwd, encoding: "utf8", timeout: 240_000 });
  if (status !== 0) throw new Error(`${file} ${args.join(" ")}: ${stderr}${stdout}`);
  return stdout;
}

/** The package as npm ships it, in a folder of its own; returns its command. */
function install(context: BenchContext): string {
  const folder = context.folder();
  run(process.execPath, ["scripts/build.ts"], root);
  run("npm", ["pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", folder], root);
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "";
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  run(
    "npm",
    ["install", path.join(folder, tarball), "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    folder,
  );
  const command = path.join(folder, "node_modules/@musterhq/muster/bin/muster.js");
  if (!existsSync(command)) throw new Error("the package has no command");
  return command;
}

interface Started {
  readonly ms: number;
  readonly megabytes: number;
}

/** Starts an agent, asks it over its socket as soon as that is there, and stops it in good order. */
async function startAgent(command: string, parent: string, folder: string): Promise<Started> {
  const socket = path.join(folder, "agent.sock");
  const options = ["--host", "BENCH", "--route", "127.0.0.1", "--parent", parent, "--socket", socket, "--http", "127.0.0.1:0"];
  // One that has waited for the socket before: its own start does not count.
  const client = nodeOf({
    role: "client",
    name: "asking",
    parents: [parseAddress(socket)],
    want: [],
    periods: { reconnectMsMin: 1, reconnectMsMax: 2 },
  });
  await client.node.start();
  const startMs = performance.now();
  const agent = spawn(process.execPath, [command, "agent", ...options], {
    cwd: folder,
    stdio: "ignore",
    env: { ...process.env, XDG_CACHE_HOME: path.join(folder, "cache") },
  });
  const ended = new Promise((resolve) => agent.once("exit", resolve));
  let answered = false;
  while (!answered && performance.now() - startMs < giveUpMs) {
    await client.node.query("find", { table, key: "svc1" }).then(
      (route) => {
        answered = route !== null;
      },
      () => {},
    );
    if (!answered) await sleepMs(1);
  }
  const ms = performance.now() - startMs;
  await sleepMs(1000);
  const bytes = processResidentBytes(agent.pid ?? 0);
  await client.close();
  agent.kill("SIGTERM");
  await ended;
  if (!answered) throw new Error("the agent answered nothing");
  return { ms, megabytes: bytes / 1e6 };
}

/** What a bare process costs that imports `module` and ends. */
async function processResults(context: BenchContext, name: string, script: string, cwd: string): Promise<readonly BenchResult[]> {
  const print = "process.stdout.write(String(process.memoryUsage().rss))";
  const sample = await context.repeat(starts, async () => {
    const startMs = performance.now();
    const bytes = Number(run(process.execPath, ["--input-type=module", "-e", `${script};${print}`], cwd));
    return { ms: performance.now() - startMs, megabytes: bytes / 1e6 };
  });
  return [
    resultOf(`${name}: start to end`, "ms", sample.ms, { peer: true }),
    resultOf(`${name}: resident memory`, "MB", sample.megabytes, { peer: true }),
  ];
}

export async function startResults(context: BenchContext): Promise<readonly BenchResult[]> {
  context.log("agent: packing and installing");
  const command = install(context);
  const source = context.child(new URL("source.ts", import.meta.url), ["muster", entries]);
  const parent = String(await source.call("place"));
  const folder = context.folder();
  context.log(`agent: ${starts} starts`);
  const first = await startAgent(command, parent, folder);
  const sample = await context.repeat(starts, async () => ({ ...(await startAgent(command, parent, folder)) }));
  await source.kill();
  await context.peers();
  return [
    resultOf("agent of the installed package: start to the first answered lookup", "ms", sample.ms, { goal: { max: 250 } }),
    resultOf(`agent of the installed package: resident memory, ${entries.toLocaleString("en")} entries`, "MB", sample.megabytes, {
      goal: { max: 90 },
    }),
    resultOf("the same, its very first start (nothing compiled yet)", "ms", sampleOf([first.ms])),
    ...(await processResults(context, "bare Node", "", root)),
    ...(await processResults(context, "import of Moleculer", "await import('moleculer')", path.join(root, "bench"))),
  ];
}
