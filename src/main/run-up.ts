import { resolve } from "node:path";
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
  return runFleet(
    {
      filePath: run.file ?? resolve(root, bundledFleet),
      dataFolder: run.data ?? process.env["MUSTER_DATA"] ?? ".muster",
      ...(run.http === undefined ? {} : { http: run.http }),
      environment: process.env,
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

function killOnSecondInterrupt(clock: SystemClock, kill: AbortController): void {
  const stoppedMs = clock.monoMs();
  process.on("SIGINT", () => {
    if (clock.monoMs() - stoppedMs >= impatientAfterMs) kill.abort();
  });
}
