import { type JsonValue, formatRevision } from "../kernel/index.ts";
import type { CompleteRoute, Entry, FleetEvent } from "./fleet.ts";

/**
 * How entries, routes and events look as JSON. Queries, the HTTP door and the CLI's `--json` all render here, so that they
 * cannot differ.
 */

/** `{ table, key, value, valid, revision: "epoch.sequence", owner }`. */
export interface EntryJson {
  readonly table: string;
  readonly key: string;
  readonly value: JsonValue;
  readonly valid: boolean;
  readonly revision: string;
  readonly owner: string | null;
}

/** `{ event, table, entry? }`. */
export interface EventJson {
  readonly event: "Add" | "Delete" | "Subscribe";
  readonly table: string;
  readonly entry?: EntryJson;
}

export function renderEntry(entry: Entry): EntryJson & { readonly [name: string]: JsonValue } {
  const { table, key, value, valid, revision, owner } = entry;
  return { table, key, value, valid, revision: formatRevision(revision), owner };
}

/** `{ key, instance, host, address, port, data?, revision, group?, ageMs, alternates }`; alternates have neither group, age nor alternates. */
export function renderRoute(route: CompleteRoute): { readonly [name: string]: JsonValue } {
  const { group } = route;
  return {
    ...plainRoute(route),
    ...(group === undefined ? {} : { group: { ...group } }),
    ageMs: roundAge(route.ageMs),
    alternates: route.alternates.map(plainRoute),
  };
}

export function renderEvent({ event, table, entry }: FleetEvent): EventJson & { readonly [name: string]: JsonValue } {
  return entry === undefined ? { event, table } : { event, table, entry: renderEntry(entry) };
}

/** Microseconds are enough; JSON has no infinity, so a replica that never heard a tick has no age. */
export function roundAge(ageMs: number): number | null {
  return Number.isFinite(ageMs) ? Math.round(ageMs * 1000) / 1000 : null;
}

function plainRoute(route: CompleteRoute): { readonly [name: string]: JsonValue } {
  const { key, instance, host, address, port, data, revision } = route;
  return { key, instance, host, address, port, ...(data === undefined ? {} : { data }), revision: formatRevision(revision) };
}
