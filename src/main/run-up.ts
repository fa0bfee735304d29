import module from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Output, UpRun } from "../cli/index.ts";
import { SystemClock } from "../kernel/index.ts";
import { connect } from "./connect.ts";
import { JsonReport, PeopleReport } from "./fleet-report.ts";
import { runFleet } from "./fleet-runner.ts";

/** Two folders up: the clone or the installed package. */
const root = fileURLToPath(new URL("../../", import.meta.url));
/** One Ctrl-C can arrive twice: from the terminal, and from npm, which passes it on. */
const impatientAfterMs = 1000;
const bundledFleet = "examples/filestore/fleet.yaml";

/** A whole fleet on this machine. Ctrl-C ends it in order, a second one at once. */
export async function runUp(run: UpRun, stdout: Output, stop: AbortSignal): Promise<number> {
  const write = (text: string) => stdout.write(text);
  const colour = stdout.isTerminal && process.env["NO_COLOR"] === undefined;
  const report =
    run.logFormat === "json"
      ? new JsonReport(write)
      : new PeopleReport({ write, now: () => new Date(), terminal: stdout.isTerminal, colour });
  const kill = new AbortController();
  const clock = new SystemClock();
  stop.addEventListener("abort", () => killOnSecondInterrupt(clock, kill), { once: true });
  const compiled = await keepCompiledCode();
  return runFleet(
    {
      filePath: run.file ?? resolve(root, bundledFleet),
      dataFolder: run.data ?? process.env["MUSTER_DATA"] ?? ".muster",
      ...(run.http === undefined ? {} : { http: run.http }),
      environment: { ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }), ...process.env },
      node: process.execPath,
      musterFile: resolve(root, "bin/muster.js"),
      workingFolder: process.cwd(),
      clock,
      report,
      connect: (socket, timeoutMs) => connect({ agent: socket, timeoutMs, name: "muster up" }),
    },
    stop,
    kill.signal,
  );
}

/**
 * Twenty processes load the same code at the same moment. What is compiled here before they start, and kept, none of them compiles again:
 * a fleet's first start takes half the time. Gives the folder where it is kept; undefined where nothing is kept.
 */
async function keepCompiledCode(): Promise<string | undefined> {
  const folder = module.getCompileCacheDir();
  if (folder === undefined) return undefined;
  await Promise.all([import("./run-node.ts"), import("./logs.ts"), import("./worker-pulse.ts"), import("../doors/index.ts")]);
  module.flushCompileCache();
  return dirname(folder);
}

function killOnSecondInterrupt(clock: SystemClock, kill: AbortController): void {
  const stoppedMs = clock.monoMs();
  process.on("SIGINT", () => {
    if (clock.monoMs() - stoppedMs >= impatientAfterMs) kill.abort();
  });
}
