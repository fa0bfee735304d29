import { SeededRandom } from "../../../src/kernel/index.ts";
import type { WorkHistory } from "../histories/work.ts";
import { Worker, readKept } from "../histories/worker.ts";
import { WorkLoads, workPatienceMs } from "../histories/working.ts";
import { Load, type LoadPorts } from "../load.ts";
import { type Scenario, groupsOf, membersOf, serverAttributes } from "../scenario.ts";
import { type LoadReport, reportFrom } from "../tally.ts";
import type { SimStage } from "./sim-stage.ts";

/** A caller's load, of one kind or of several. */
interface CallerLoad {
  begin(requestsPerSecond: number, countFromMs: number): void;
  end(patienceMs: number): Promise<LoadReport | readonly LoadReport[]>;
}

const { table } = serverAttributes;

/** The callers of a simulated fleet at work. */
export class SimLoad {
  readonly #stage: SimStage;
  readonly #scenario: Scenario;
  readonly #callers: readonly string[];
  readonly #loads: readonly CallerLoad[];
  readonly #workers: Worker[] = [];
  readonly #members: readonly string[];

  constructor(stage: SimStage, scenario: Scenario, seed: number) {
    this.#stage = stage;
    this.#scenario = scenario;
    this.#members = membersOf(scenario.fleet).map(({ server }) => server);
    const { world } = stage.fleet;
    const ports: LoadPorts = {
      nowMs: () => world.nowMs,
      every: (periodMs, run) => stage.every(periodMs, run),
      after: (delayMs, run) => void world.after(delayMs, run),
    };
    this.#callers = scenario.fleet.hosts.filter(({ caller }) => caller === true).map(({ name }) => `caller ${name}`);
    this.#loads = this.#callers.map((caller, number) => this.#loadOf(caller, ports, seed + number));
  }

  begin(countFromMs: number): void {
    for (const load of this.#loads) load.begin(this.#scenario.load.requestsPerSecond / this.#loads.length, countFromMs);
  }

  /** Reports with times from `zeroMs`. Lets virtual time pass. */
  async end(zeroMs: number): Promise<readonly LoadReport[]> {
    const { deadlineMs, work } = this.#scenario.load;
    const patienceMs = work === undefined ? deadlineMs + 1000 : workPatienceMs(deadlineMs);
    const reports = Promise.all(this.#loads.map((load) => load.end(patienceMs)));
    return (await this.#stage.fleet.until(reports, patienceMs + 1000)).flat().map((report) => reportFrom(report, zeroMs));
  }

  /** What was written down, and what servers keep now. Undefined where there is no such load. */
  async history(): Promise<WorkHistory | undefined> {
    const [caller] = this.#callers;
    if (this.#workers.length === 0 || caller === undefined) return undefined;
    const patienceMs = workPatienceMs(this.#scenario.load.deadlineMs);
    const kept = readKept(this.#stage.fleet.client(caller), table, this.#members, patienceMs);
    return { operations: this.#workers.flatMap(({ operations }) => operations), kept: await this.#stage.fleet.until(kept, patienceMs) };
  }

  #loadOf(caller: string, ports: LoadPorts, seed: number): CallerLoad {
    const { work, deadlineMs, keepsAnswers = false } = this.#scenario.load;
    if (work === undefined) return new Load(caller, this.#stage.askOf(caller), ports, () => {}, { keepsAnswers });
    const options = { caller, table, groups: [...groupsOf(this.#members).keys()], keysPerGroup: work.keysPerGroup, deadlineMs };
    const worker = new Worker(options, {
      fleet: this.#stage.fleet.client(caller),
      random: new SeededRandom(seed),
      nowMs: () => this.#stage.fleet.world.nowMs,
    });
    this.#workers.push(worker);
    return new WorkLoads(caller, worker, work, ports, () => {});
  }
}
