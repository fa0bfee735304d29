import { mkdir } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import type { Fleet } from "../fleet/index.ts";
import type { Clock } from "../kernel/index.ts";
import { usableHosts } from "./fleet-addresses.ts";
import { type FleetFile, readFleetFile } from "./fleet-file.ts";
import { FleetMap } from "./fleet-map.ts";
import { type FleetPlan, planFleet } from "./fleet-plan.ts";
import { restartLine } from "./fleet-process.ts";
import type { FleetReport, Serving } from "./fleet-report.ts";
import { FleetRun } from "./fleet-run.ts";

export interface FleetRunnerOptions {
  /** FLEET.yaml. */
  readonly filePath: string;
  readonly dataFolder: string;
  /** Where the first server with a web address listens, `H:P`; default as FLEET.yaml says. */
  readonly http?: string;
  /** What the processes inherit. */
  readonly environment: NodeJS.ProcessEnv;
  /** The Node binary, and the file that is the `muster` command. */
  readonly node: string;
  readonly musterFile: string;
  readonly workingFolder: string;
  readonly clock: Clock;
  readonly report: FleetReport;
  /** Connects to an agent or directory by its socket; rejects when it does not answer within `timeoutMs`. */
  connect(socket: string, timeoutMs: number): Promise<Fleet>;
}

/** Longer than a process takes to end by itself when `muster up` was killed. */
const leftoverMsMax = 12_000;

/**
 * Runs the fleet of a FLEET.yaml until `stop` is aborted, then ends it in order; `kill` ends it at once. Resolves with 0 when
 * it was asked to end. Rejects, with nothing left running, when the file is wrong, the folder is in use, or a process does
 * not start.
 */
export async function runFleet(
  options: FleetRunnerOptions,
  stop: AbortSignal,
  kill: AbortSignal = new AbortController().signal,
): Promise<number> {
  const { report, clock, connect } = options;
  const startedMs = clock.monoMs();
  const filePath = resolve(options.workingFolder, options.filePath);
  const dataFolder = resolve(options.workingFolder, options.dataFolder);
  const file = await readFleetFile(filePath);
  const { hosts, fellBack } = await usableHosts(file.hosts);
  const map = await FleetMap.claim(dataFolder, file.name, leftoverMsMax);
  try {
    const plan = await planFleet({ ...options, file, filePath, hosts, dataFolder });
    await mkdir(dirname(plan.directorySocket), { recursive: true });
    const notes = fellBack ? ["this system has one loopback address: all hosts share it, and ports tell them apart"] : [];
    // Twenty processes compile the same sources: kept compiled, a fleet starts in half the time.
    const environment = { NODE_COMPILE_CACHE: join(dataFolder, "cache"), ...options.environment };
    const run = new FleetRun({ file, plan, map, environment, clock, report, connect });
    report.starting(file.name, 1 + plan.agents.length + plan.servers.length, notes);
    try {
      const fleet = await run.start(stop);
      const replaced = fellBack ? [] : plan.servers.flatMap(({ note }) => note ?? []);
      const serving = describeServing(options, file, plan, run, dataFolder, replaced, clock.monoMs() - startedMs);
      map.serves(serving.agentSocket, serving.urls[0]);
      report.serves(serving);
      run.follow(fleet);
      await aborted(stop);
    } catch (thrown) {
      if (!stop.aborted) throw thrown;
    } finally {
      report.stopping(stop.aborted ? "asked to end" : "the start failed", run.running);
      report.stopped(await run.end(kill));
    }
    return 0;
  } finally {
    map.remove();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener("abort", () => done(), { once: true });
  });
}

function describeServing(
  { workingFolder, musterFile }: FleetRunnerOptions,
  file: FleetFile,
  plan: FleetPlan,
  run: FleetRun,
  dataFolder: string,
  notes: readonly string[],
  tookMs: number,
): Serving {
  const near = (path: string) => {
    const way = relative(workingFolder, path);
    return way.startsWith("..") ? path : way;
  };
  const victim = plan.servers.findLast(({ url }) => url === undefined) ?? plan.servers.at(-1);
  const pid = victim === undefined ? undefined : run.pidOf(victim.spec.name);
  return {
    name: file.name,
    urls: plan.servers.flatMap(({ url }) => (url === undefined ? [] : [url])),
    agentSocket: plan.agentSocket,
    notes,
    tookMs,
    suggestions: file.suggestions,
    ...(victim === undefined || pid === undefined
      ? {}
      : { example: { table: victim.spec.table ?? "", key: victim.spec.name, pid, restart: restartLine(victim.spec) } }),
    muster: `node ${near(musterFile)}`,
    mapFile: near(join(dataFolder, "fleet.json")),
  };
}
