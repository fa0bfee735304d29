import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { NodeCheckRunner } from "../checks/index.ts";
import { type CliWorld, NodeCommandSpawner, type NodeRun, type Output, type StopSignal, runCli } from "../cli/index.ts";
import { SystemClock, SystemRandom } from "../kernel/index.ts";
import { connect } from "./connect.ts";

/** The package's own manifest: two folders up, both in the clone (src/main) and in the package (dist/main). */
const manifest: { version: string } = JSON.parse(readFileSync(fileURLToPath(new URL("../../package.json", import.meta.url)), "utf8"));

function outputTo(stream: NodeJS.WriteStream): Output {
  // A reader that went away (`| head`) ends the program quietly.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
  });
  return {
    write: (text) => {
      stream.write(text);
    },
    drained: () => (stream.writableNeedDrain ? new Promise((resolve) => stream.once("drain", resolve)) : Promise.resolve()),
    isTerminal: stream.isTTY === true,
    columns: stream.columns,
  };
}

function onSignal(handler: (signal: StopSignal) => void): () => void {
  const names: readonly StopSignal[] = ["SIGTERM", "SIGINT", "SIGHUP"];
  const listeners = names.map((name) => [name, () => handler(name)] as const);
  for (const [name, listener] of listeners) process.on(name, listener);
  return () => {
    for (const [name, listener] of listeners) process.off(name, listener);
  };
}

const stdout = outputTo(process.stdout);
const stderr = outputTo(process.stderr);

/** The runners are loaded when they are wanted: `muster find` starts without what a directory needs. */
async function surroundings(run: Pick<NodeRun, "logFormat" | "logLevel">) {
  const [{ logTo }, { PrometheusMeter }] = await Promise.all([import("./logs.ts"), import("../doors/index.ts")]);
  const meter = new PrometheusMeter();
  return { stdout, meter, telemetry: logTo(stderr, run, meter), version: manifest.version };
}

const world: CliWorld = {
  version: manifest.version,
  env: process.env,
  stdout,
  stderr,
  clock: new SystemClock(),
  random: new SystemRandom(),
  commands: new NodeCommandSpawner(process.env),
  checks: new NodeCheckRunner(),
  connect: ({ agents, tables, timeoutMs }) =>
    // The loop of a command has nothing to do that could delay its heartbeats.
    connect({ parents: agents, tables, timeoutMs, name: `muster ${process.argv[2] ?? ""}`.trim(), heartbeats: "loop" }),
  readFile: (path) => readFile(path, "utf8"),
  fileExists: async (path) => existsSync(path),
  onSignal,
  runDirectory: async (run, stop) => (await import("./run-node.ts")).runDirectory(run, await surroundings(run), stop),
  runRelay: async (run, stop) => (await import("./run-node.ts")).runRelay(run, await surroundings(run), stop),
  runAgent: async (run, stop) => (await import("./run-node.ts")).runAgent(run, await surroundings(run), stop),
  runUp: async (run, stop) => (await import("./run-up.ts")).runUp(run, stdout, stop),
  saveSnapshot: async (save) => (await import("./snapshot.ts")).saveSnapshot(save),
  restoreSnapshot: async (restore) => (await import("./snapshot.ts")).restoreSnapshot(restore),
};

process.exitCode = await runCli(process.argv.slice(2), world);
// Whatever is still open belongs to a verb that has ended.
process.exit();
