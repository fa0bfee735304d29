import { isRecord } from "../kernel/index.ts";
import type { CompleteRoute } from "../find/index.ts";
import {
  type FleetEvent,
  isRouteValue,
  parseHostRouteKey,
  parseRouteAddress,
  stateKey,
  statesTable,
  targetOfStateKey,
} from "../tables/index.ts";
import type { FetchFleet } from "./fetch-fleet.ts";

/** What the roll says against a server that a request waits for. */
export type Verdict =
  /** Its row is invalid: its program ended, missed its heartbeat or failed its check. */
  | "invalid"
  | "host-gone"
  /** The route that was used is invalid. */
  | "route-cut"
  /** It has left the roll, or is registered at another place now. */
  | "left"
  /** It may be gone, or does not get on at present: lookups pass over it. */
  | "suspect"
  | "stalled";

/** A request at one server. */
export interface Watched {
  readonly table: string;
  readonly route: CompleteRoute;
  /** Told at every change that concerns its server, until it is removed. */
  accused(verdict: Verdict): void;
  /** Resolves when the request has surely reached its server, or never will; undefined when that is so already. */
  readonly arriving: Promise<void> | undefined;
}

/** The verdict of the rows as they are now; undefined when nothing is said against it. */
export function verdictOn(fleet: FetchFleet, { table, route }: Pick<Watched, "table" | "route">): Verdict | undefined {
  const { host, instance, address, port } = route;
  if (fleet.get("hosts", host)?.valid === false) return "host-gone";
  const row = fleet.get(table, instance);
  if (row === undefined) return "left";
  if (!row.valid) return "invalid";
  if (isRouteValue(row.value) && (row.value.host !== host || row.value.port !== port)) return "left";
  const routes = fleet.search("host-route", `${host}.`).filter(({ key }) => parseHostRouteKey(key)?.host === host);
  if (!routes.some(({ value, valid }) => valid && parseRouteAddress(value) === address)) return "route-cut";
  return shunned(fleet, stateKey(table, instance)) ?? shunned(fleet, stateKey("hosts", host));
}

function shunned(fleet: FetchFleet, key: string | undefined): Verdict | undefined {
  const state = stateOf(fleet, key);
  return state === "suspect" || state === "stalled" ? state : undefined;
}

function stateOf(fleet: FetchFleet, key: string | undefined): unknown {
  const row = key === undefined ? undefined : fleet.get(statesTable, key);
  // Anybody may write to the table; what cannot be read says nothing.
  return row !== undefined && isRecord(row.value) ? row.value["state"] : undefined;
}

/**
 * Which requests wait for which server, and what the roll says about it. Rows are looked at when they change, so a request
 * costs two entries in maps and no look.
 */
export class FailureWatch {
  readonly #fleet: FetchFleet;
  readonly #byEntry = new Map<string, Set<Watched>>();
  readonly #byHost = new Map<string, Set<Watched>>();
  /** Accused, but not moved: they are told again at every change, because there may be another server now. */
  readonly #accused = new Set<Watched>();
  readonly #waiting = new Set<() => void>();
  readonly #subscriptions = new Map<string, { cancel(): void }>();

  #hold: { cancel(): void } | undefined;

  constructor(fleet: FetchFleet) {
    this.#fleet = fleet;
  }

  /** Follows the table; a request's table must be followed before its server is chosen. Throws `tables/unknown-table`. */
  follow(table: string): void {
    if (this.#subscriptions.has(table)) return;
    this.#hold ??= this.#fleet.beforeSettled(() => this.#onTheirWay());
    for (const name of [table, "hosts", "host-route", statesTable])
      if (!this.#subscriptions.has(name))
        this.#subscriptions.set(
          name,
          this.#fleet.subscribe({ tables: [name] }, (event) => this.#changed(event)),
        );
  }

  add(watched: Watched): void {
    put(this.#byEntry, `${watched.table}/${watched.route.instance}`, watched);
    put(this.#byHost, watched.route.host, watched);
  }

  remove(watched: Watched): void {
    take(this.#byEntry, `${watched.table}/${watched.route.instance}`, watched);
    take(this.#byHost, watched.route.host, watched);
    this.#accused.delete(watched);
  }

  /** Calls `wake` at the next changes that may name a server, until the returned function is called. */
  wakes(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  close(): void {
    for (const subscription of this.#subscriptions.values()) subscription.cancel();
    this.#subscriptions.clear();
    this.#hold?.cancel();
  }

  /** Requests that were sent to servers before these were drained, and may not have arrived yet. */
  #onTheirWay(): Promise<unknown> | undefined {
    const arriving: Promise<void>[] = [];
    for (const { key } of this.#fleet.search(statesTable)) {
      if (stateOf(this.#fleet, key) !== "draining") continue;
      const target = targetOfStateKey(key);
      for (const watched of (target?.table === "hosts" ? this.#byHost.get(target.key) : this.#byEntry.get(key)) ?? [])
        if (watched.arriving !== undefined) arriving.push(watched.arriving);
    }
    return arriving.length === 0 ? undefined : Promise.all(arriving);
  }

  #changed({ table, entry }: FleetEvent): void {
    const concerned = new Set(this.#accused);
    for (const watched of this.#concerned(table, entry?.key)) concerned.add(watched);
    for (const watched of concerned) this.#judge(watched);
    for (const wake of [...this.#waiting]) wake();
  }

  #concerned(table: string, key: string | undefined): Iterable<Watched> {
    // Some events were discarded: anybody may be concerned.
    if (key === undefined) return [...this.#byHost.values()].flatMap((watched) => [...watched]);
    if (table === "hosts") return this.#byHost.get(key) ?? [];
    if (table === "host-route") return this.#byHost.get(parseHostRouteKey(key)?.host ?? "") ?? [];
    if (table !== statesTable) return this.#byEntry.get(`${table}/${key}`) ?? [];
    const target = targetOfStateKey(key);
    return (target?.table === "hosts" ? this.#byHost.get(target.key) : this.#byEntry.get(key)) ?? [];
  }

  #judge(watched: Watched): void {
    const verdict = verdictOn(this.#fleet, watched);
    if (verdict === undefined) {
      this.#accused.delete(watched);
      return;
    }
    this.#accused.add(watched);
    watched.accused(verdict);
  }
}

function put(index: Map<string, Set<Watched>>, name: string, watched: Watched): void {
  const known = index.get(name);
  if (known === undefined) index.set(name, new Set([watched]));
  else known.add(watched);
}

function take(index: Map<string, Set<Watched>>, name: string, watched: Watched): void {
  const known = index.get(name);
  if (known?.delete(watched) === true && known.size === 0) index.delete(name);
}
