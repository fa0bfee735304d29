import type { Clock, Telemetry } from "../kernel/index.ts";
import type { CompleteRoute } from "../find/index.ts";
import { stateKey, statesTable } from "../tables/index.ts";
import type { FetchFleet } from "./fetch-fleet.ts";
import { metrics } from "./metrics.ts";

/** One program says it of one server at most this often. */
const againMs = 5000;
const rememberedMax = 10_000;

/**
 * Tells the owner of a server that this program could not reach it: a row `doubted`, at which the agent of the watching host
 * looks. Nobody avoids a server because of it. Never waited for, and never an error: the request has its own.
 */
export class Doubts {
  readonly #fleet: FetchFleet;
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly #toldMonoMs = new Map<string, number>();

  constructor(fleet: FetchFleet, clock: Clock, telemetry: Telemetry) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#telemetry = telemetry;
  }

  tell(table: string, route: CompleteRoute, why: string): void {
    const key = stateKey(table, route.instance);
    if (key === undefined) return;
    const nowMonoMs = this.#clock.monoMs();
    const told = this.#toldMonoMs.get(key);
    if (told !== undefined && nowMonoMs - told < againMs) return;
    if (this.#toldMonoMs.size >= rememberedMax) this.#toldMonoMs.clear();
    this.#toldMonoMs.set(key, nowMonoMs);
    // What is known of it already says more than a doubt.
    if (this.#fleet.get(statesTable, key) !== undefined) return;
    const by = this.#fleet.host ?? "a program";
    const reason = `${route.address}:${route.port} cannot be reached from ${by}: ${why}`.slice(0, 500);
    const value = { state: "doubted", reason, by, sinceUnixMs: this.#clock.unixMs() };
    const absent = { ifRevision: [{ table: statesTable, key, revision: "absent" }] };
    this.#fleet.change([{ op: "add", table: statesTable, key, value }], absent).then(
      () => this.#telemetry.count(metrics.doubted),
      () => undefined,
    );
  }
}
