import { type Ask, Load } from "../load.ts";
import type { Scenario } from "../scenario.ts";
import { type LoadReport, reportFrom } from "../tally.ts";
import type { SimStage } from "./sim-stage.ts";

/** The callers of a simulated fleet at work. */
export class SimLoad {
  readonly #stage: SimStage;
  readonly #scenario: Scenario;
  readonly #loads: readonly Load[];

  constructor(stage: SimStage, scenario: Scenario, askOf: (caller: string) => Ask) {
    this.#stage = stage;
    this.#scenario = scenario;
    const { world } = stage.fleet;
    const ports = {
      nowMs: () => world.nowMs,
      every: (periodMs: number, run: () => void) => stage.every(periodMs, run),
      after: (delayMs: number, run: () => void) => void world.after(delayMs, run),
    };
    const callers = scenario.fleet.hosts.filter(({ caller }) => caller === true).map(({ name }) => `caller ${name}`);
    this.#loads = callers.map((caller) => new Load(caller, askOf(caller), ports, () => {}));
  }

  begin(countFromMs: number): void {
    for (const load of this.#loads) load.begin(this.#scenario.load.requestsPerSecond / this.#loads.length, countFromMs);
  }

  /** Reports with times from `zeroMs`. Lets virtual time pass. */
  async end(zeroMs: number): Promise<readonly LoadReport[]> {
    const patienceMs = this.#scenario.load.deadlineMs + 1000;
    const reports = Promise.all(this.#loads.map((load) => load.end(patienceMs)));
    return (await this.#stage.fleet.until(reports, patienceMs + 1000)).map((report) => reportFrom(report, zeroMs));
  }
}
