import { type JsonValue, isRecord } from "../kernel/index.ts";
import { parseHostRouteKey, parseRouteAddress } from "../tables/index.ts";
import { entryState, renderState } from "./entry-state.ts";
import type { Entry } from "./fleet.ts";
import type { QueryView } from "./queries.ts";

/** One network route of a host. */
export interface HostRoute {
  /** `HOST9.0`. */
  readonly route: string;
  readonly number: number;
  readonly address: string;
  readonly valid: boolean;
  /** The lowest-numbered valid route of a host that is not gone: the one that lookups name first. */
  readonly current: boolean;
}

export interface HostState {
  readonly host: string;
  /** False when the directory has seen its end. */
  readonly valid: boolean;
  /** False for a host that only has routes: nobody has ever run an agent there. */
  readonly known: boolean;
  readonly entry: Entry | undefined;
  readonly routes: readonly HostRoute[];
}

/** Every host that has a row, a route, or both, by name. */
export function hostStates(view: QueryView): readonly HostState[] {
  const names = new Set(view.search("hosts").map((entry) => entry.key));
  const routes = new Map<string, Entry[]>();
  for (const entry of view.search("host-route")) {
    const host = parseHostRouteKey(entry.key)?.host;
    if (host === undefined) continue;
    names.add(host);
    const known = routes.get(host);
    if (known === undefined) routes.set(host, [entry]);
    else known.push(entry);
  }
  return [...names].sort().map((host) => stateOf(host, view.get("hosts", host), routes.get(host) ?? []));
}

/** One host; undefined when nothing names it. */
export function hostState(view: QueryView, host: string): HostState | undefined {
  const entry = view.get("hosts", host);
  const routes = view.search("host-route", `${host}.`).filter((route) => parseHostRouteKey(route.key)?.host === host);
  return entry === undefined && routes.length === 0 ? undefined : stateOf(host, entry, routes);
}

function stateOf(host: string, entry: Entry | undefined, entries: readonly Entry[]): HostState {
  const valid = entry?.valid ?? true;
  const routes = entries
    .map((route) => ({
      route: route.key,
      number: parseHostRouteKey(route.key)?.number ?? 0,
      address: parseRouteAddress(route.value) ?? "",
      valid: route.valid,
    }))
    .sort((a, b) => a.number - b.number);
  const current = valid ? routes.find((route) => route.valid)?.number : undefined;
  return {
    host,
    valid,
    known: entry !== undefined,
    entry,
    routes: routes.map((route) => ({ ...route, current: route.number === current })),
  };
}

/** The answer of the query "hosts": `{ host, valid, state, routes, servers, attributes }` each. */
export function listHosts(view: QueryView, only: string | undefined): JsonValue {
  const states = only === undefined ? hostStates(view) : [hostState(view, only)].filter((state) => state !== undefined);
  return states.map(({ host, valid, known, routes, entry }) => ({
    host,
    valid,
    // Its agent is away (`unwatched`), it is silent together with too many others (`suspect`), it is drained: null when all is well.
    state: renderState(entryState(view, "hosts", host)),
    agent: known,
    servers: view.serversOn(host),
    attributes: entry !== undefined && isRecord(entry.value) ? entry.value : {},
    routes: routes.map((route) => ({ ...route })),
  }));
}
