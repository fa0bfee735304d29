import { membersOf } from "../tables/index.ts";
import type { CompleteRoute, FindOptions } from "../find/index.ts";
import type { Target } from "./addresses.ts";
import type { FetchFleet } from "./fetch-fleet.ts";

/**
 * The server to ask: the one that find names, else another one that the key may mean, else a server of these over another
 * route of its host. Of a service instance only the primary is asked: its backups become it when the roll says so.
 * `fits` passes over servers; the first that find names is `named`, fit or not.
 */
export function chooseServer(
  fleet: FetchFleet,
  { table, key }: Target,
  find: FindOptions | undefined,
  fits: (route: CompleteRoute) => boolean,
): { readonly named: CompleteRoute | undefined; readonly fit: CompleteRoute | undefined } {
  const named = fleet.find(table, key, find);
  if (named === undefined || fits(named)) return { named, fit: named };
  const others = isInstance(fleet, table, key) ? [] : named.alternates;
  const fit = others.find(fits) ?? [named, ...others].flatMap(({ instance }) => fleet.findAll(table, instance)).find(fits);
  return { named, fit };
}

function isInstance(fleet: FetchFleet, table: string, key: string): boolean {
  const entry = fleet.get(table, key);
  return entry !== undefined && membersOf(entry.value) !== undefined;
}

/** Whether the roll has anything under the key, valid or not. */
export function isKnown(fleet: FetchFleet, { table, key }: Target): boolean {
  return fleet.get(table, key) !== undefined || fleet.search(table, key === "" || key.endsWith(".") ? key : `${key}.`).length > 0;
}

/** Where a server listens, as a name. */
export function placeOf({ address, port }: Pick<CompleteRoute, "address" | "port">): string {
  return `${address} ${port}`;
}
