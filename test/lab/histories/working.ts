import { Load, type LoadPorts } from "../load.ts";
import type { WorkPlan } from "../scenario.ts";
import type { FailedRequest, LoadReport } from "../tally.ts";
import { workKinds } from "./work.ts";
import type { Worker } from "./worker.ts";

/** One caller's load of all kinds of work, each at its own steady rate. */
export class WorkLoads {
  readonly #loads: readonly { readonly load: Load; readonly share: number }[];

  constructor(caller: string, worker: Worker, { shares }: WorkPlan, ports: LoadPorts, firstFailure: (failure: FailedRequest) => void) {
    this.#loads = workKinds.map((work) => ({
      load: new Load(caller, () => worker.ask(work), ports, firstFailure, { work }),
      share: shares[work],
    }));
  }

  begin(requestsPerSecond: number, countFromMs: number): void {
    for (const { load, share } of this.#loads) load.begin(requestsPerSecond * share, countFromMs);
  }

  end(patienceMs: number): Promise<readonly LoadReport[]> {
    return Promise.all(this.#loads.map(({ load }) => load.end(patienceMs)));
  }
}

/** Asking after a write that was unknown at its deadline may take as long again. */
export function workPatienceMs(deadlineMs: number): number {
  return 2 * deadlineMs + 1000;
}
