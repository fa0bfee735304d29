import type { Fleet, Operation } from "../fleet/index.ts";
import { type Clock, MusterError, type Revision, compareRevision } from "../kernel/index.ts";
import type { FleetFile } from "./fleet-file.ts";
import type { FleetMap } from "./fleet-map.ts";
import type { FleetPlan, PlannedProcess } from "./fleet-plan.ts";
import { FleetProcess, restartLine } from "./fleet-process.ts";
import type { FleetReport } from "./fleet-report.ts";

export interface FleetRunOptions {
  readonly file: FleetFile;
  readonly plan: FleetPlan;
  readonly map: FleetMap;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly report: FleetReport;
  /** Connects to an agent or directory by its socket; rejects when it does not answer within `timeoutMs`. */
  connect(socket: string, timeoutMs: number): Promise<Fleet>;
}

const readyMsMax = 45_000;
const connectMs = 3000;
const stopMsMax = 12_000;
/** More at a time would only make each other slow: a start is mostly computing. */
const startsAtOnce = 4;
const operationsAtOnce = 50;

/** Works on each item, a few at a time; takes no new one after the first failure. */
async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  let failed = false;
  const lane = async () => {
    for (const item of queue) {
      if (failed) return;
      try {
        await work(item);
      } catch (thrown) {
        failed = true;
        throw thrown;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

/** The processes of a fleet on one machine, from the first start to the last end. Restarts nothing. */
export class FleetRun {
  readonly #options: FleetRunOptions;
  readonly #processes: FleetProcess[] = [];
  #fleet: Fleet | undefined;
  #readyCount = 0;
  #following = false;

  constructor(options: FleetRunOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#processes.filter(({ end }) => end === undefined).length;
  }

  /** Starts everything; resolves when every server is on the roll. Rejects as soon as something ends, or is not ready in time. */
  async start(stop: AbortSignal): Promise<Fleet> {
    const { plan } = this.#options;
    const home = await this.#launch(plan.directory);
    const fleet = await this.#whileAlive(home, stop, () => this.#reach(home, plan.directorySocket, stop));
    this.#fleet = fleet;
    this.#ready(plan.directory);
    // Whatever the directory remembers of its last run is not newer than this.
    const since = fleet.position;
    await this.#writeRows(fleet);
    await eachOf(plan.agents, startsAtOnce, (agent) => this.#startAgent(agent, stop));
    await eachOf(plan.servers, startsAtOnce, (server) => this.#startServer(fleet, server, since, stop));
    return fleet;
  }

  /** From now on every change of the roll that is not a program's private matter, and every process that ends, is reported. */
  follow(fleet: Fleet): void {
    this.#following = true;
    const tables = fleet.tables().flatMap(({ name }) => (name === "leases" ? [] : [name]));
    fleet.subscribe({ tables }, (event) => {
      if (this.#following) this.#options.report.event(event);
    });
    for (const one of this.#processes) void this.#reportEnd(one);
  }

  pidOf(name: string): number | undefined {
    return this.#processes.find(({ spec }) => spec.name === name)?.pid;
  }

  /** Servers first, then agents, then the directory. Resolves with the names of those that had to be killed. */
  async end(kill: AbortSignal): Promise<string[]> {
    const { plan } = this.#options;
    this.#following = false;
    const killed: string[] = [];
    for (const kind of ["server", "agent", "directory"] as const) {
      if (kind === "directory") await this.#fleet?.close().catch(() => {});
      const ending = this.#processes.filter(({ spec }) => spec.kind === kind);
      await Promise.all(ending.map(async (one) => ((await one.stop(stopMsMax, kill)) ? killed.push(one.spec.name) : 0)));
    }
    await Promise.all([plan.directory, ...plan.agents, ...plan.servers].flatMap(({ ports }) => ports.map((port) => port.handOver())));
    return killed;
  }

  async #launch(planned: PlannedProcess): Promise<FleetProcess> {
    await Promise.all(planned.ports.map((port) => port.handOver()));
    const started = new FleetProcess(planned.spec, this.#options.environment);
    this.#processes.push(started);
    this.#options.map.write(this.#processes);
    void started.ended.then(() => this.#options.map.write(this.#processes));
    return started;
  }

  /** An agent is ready when it answers: its replica is whole then, and the directory has admitted its host. */
  async #startAgent(planned: PlannedProcess, stop: AbortSignal): Promise<void> {
    stop.throwIfAborted();
    const started = await this.#launch(planned);
    const agent = await this.#whileAlive(started, stop, () => this.#reach(started, planned.socket ?? "", stop));
    await agent.close();
    this.#ready(planned);
  }

  /** A server is ready when its row is valid and was written by this life of it, not by an earlier one. */
  async #startServer(fleet: Fleet, planned: PlannedProcess, since: Revision, stop: AbortSignal): Promise<void> {
    stop.throwIfAborted();
    const { table = "", name } = planned.spec;
    const entered = Promise.withResolvers<void>();
    const look = () => {
      const entry = fleet.get(table, name);
      if (entry?.valid && compareRevision(entry.revision, since) > 0) entered.resolve();
    };
    const subscription = fleet.subscribe({ tables: [table], prefix: name }, look);
    try {
      const started = await this.#launch(planned);
      await this.#whileAlive(started, stop, () => entered.promise);
    } finally {
      subscription.cancel();
    }
    this.#ready(planned);
  }

  /** Connects to a process that is about to open its socket. */
  async #reach(one: FleetProcess, socket: string, stop: AbortSignal): Promise<Fleet> {
    for (;;) {
      try {
        return await this.#options.connect(socket, connectMs);
      } catch (thrown) {
        if (stop.aborted || one.end !== undefined) throw thrown;
      }
    }
  }

  async #whileAlive<T>(one: FleetProcess, stop: AbortSignal, work: () => Promise<T>): Promise<T> {
    const limit = Promise.withResolvers<never>();
    const timer = this.#options.clock.schedule(readyMsMax, () =>
      limit.reject(
        new MusterError("main/not-ready", `${one.spec.name} is not ready after ${readyMsMax / 1000} s:\n${one.logTail()}`, {
          next: `see ${one.spec.logFile}`,
        }),
      ),
    );
    const onStop = () => limit.reject(stop.reason);
    if (stop.aborted) onStop();
    else stop.addEventListener("abort", onStop, { once: true });
    try {
      return await Promise.race([work(), one.failed(), limit.promise]);
    } finally {
      timer.cancel();
      stop.removeEventListener("abort", onStop);
    }
  }

  #ready(planned: PlannedProcess): void {
    const { plan, report } = this.#options;
    this.#readyCount += 1;
    report.ready(planned.spec.name, this.#readyCount, 1 + plan.agents.length + plan.servers.length);
  }

  /** The standing rows of FLEET.yaml, where there are none: what an operator has changed since stays. */
  async #writeRows(fleet: Fleet): Promise<void> {
    const { rows } = this.#options.file;
    const known = new Set(fleet.tables().flatMap(({ name, symbol }) => (symbol === undefined ? [name] : [name, symbol])));
    for (const table of rows.keys()) if (!known.has(table)) await fleet.addTable(table);
    const operations = Array.from(rows).flatMap(([table, entries]) =>
      Array.from(entries).flatMap(([key, value]): Operation[] =>
        fleet.get(table, key) === undefined ? [{ op: "add", table, key, value }] : [],
      ),
    );
    for (let at = 0; at < operations.length; at += operationsAtOnce) await fleet.change(operations.slice(at, at + operationsAtOnce));
  }

  async #reportEnd(one: FleetProcess): Promise<void> {
    const { code, signal } = await one.ended;
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
    if (this.#following) this.#options.report.died(one.spec.name, one.pid ?? 0, how, restartLine(one.spec));
  }
}
