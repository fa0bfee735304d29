import { type Clock, type JsonValue, type Telemetry, compareRevision } from "../kernel/index.ts";
import { type Replica, stateKey, statesTable, tableNumbers } from "../tables/index.ts";
import type { Lane } from "./lane.ts";
import { metricNames } from "./metrics.ts";

export interface DoubtsPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly by: string;
  readonly add: (table: string, key: string, value: JsonValue) => Promise<unknown>;
}

/** One program says it of one server at most this often. */
const againMs = 1000;
/** A program whose own path is broken cannot reach anybody: it does not accuse everybody at once. */
const doubtsMax = 10;
/** Whoever watches the server usually knows already: then there is nothing to ask. */
const patienceMs = 20;

/**
 * Asks the owner of a server about it, because this program could not reach it: a row `doubted`, at which the agent of the watching
 * host looks. Nobody avoids a server because of it. Never waited for, and never an error: the request has its own.
 */
export class Doubts {
  readonly #ports: DoubtsPorts;
  /** When each server may be doubted again. */
  readonly #untilMonoMs = new Map<string, number>();

  constructor(ports: DoubtsPorts) {
    this.#ports = ports;
  }

  tell(lane: Lane, why: string): void {
    const key = stateKey(lane.table, lane.instance);
    if (key === undefined) return;
    const nowMonoMs = this.#ports.clock.monoMs();
    for (const [known, untilMonoMs] of this.#untilMonoMs) if (untilMonoMs <= nowMonoMs) this.#untilMonoMs.delete(known);
    if (this.#untilMonoMs.has(key) || this.#untilMonoMs.size >= doubtsMax) return;
    this.#untilMonoMs.set(key, nowMonoMs + againMs);
    const { revision } = lane.route;
    this.#ports.clock.schedule(patienceMs, () => {
      const { clock, telemetry, replica, by, add } = this.#ports;
      const row = replica.row(lane.tableNumber, lane.instance);
      if (row === undefined || compareRevision(row, revision) !== 0) return;
      if (!replica.isValid(lane.tableNumber, lane.instance) || replica.table(statesTable) === undefined) return;
      // What is known of it already says more than a doubt.
      if (replica.row(tableNumbers.states, key) !== undefined) return;
      const reason = `${lane.place.replace(" ", ":")} could not be reached by ${by}: ${why}`.slice(0, 500);
      add(statesTable, key, { state: "doubted", reason, by, sinceUnixMs: clock.unixMs() }).then(
        () => telemetry.count(metricNames.doubts),
        () => undefined,
      );
    });
  }
}
