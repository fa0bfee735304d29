import type { JsonValue, Revision } from "../kernel/index.ts";
import { type Entry, type GroupRow, type Replica, groupOf, isBelow, isRouteValue, membersOf, tableNumbers } from "../tables/index.ts";
import { isEntryAvoided } from "./avoided.ts";

/** A server's row, whether it can be called or not. */
export interface Server {
  readonly instance: string;
  readonly host: string;
  readonly port: number;
  readonly data: JsonValue | undefined;
  readonly value: JsonValue;
  readonly valid: boolean;
  /** Its own state says that lookups pass over it while others are left; that of its host is not looked at here. */
  readonly avoided: boolean;
  readonly revision: Revision;
}

/** What a key names: one server; a service instance with its members in order; a service with its instances; or nothing. */
export type Named =
  | { readonly shape: "server"; readonly server: Server }
  | { readonly shape: "instance"; readonly instance: Instance }
  | { readonly shape: "service"; readonly instances: readonly Instance[] }
  | { readonly shape: "nothing" };

export interface Instance {
  readonly key: string;
  /** False when the instance's own row says so, or when nobody holds the state that its servers keep together. */
  readonly valid: boolean;
  /** In order: the first valid one is the primary. Of an ordering group its members only. */
  readonly servers: readonly Server[];
  readonly group?: GroupRow;
}

export interface Resolved {
  readonly named: Named;
  /** Rows outside of the key's own subtree were looked at, so that any change of the table may matter. */
  readonly foreign: boolean;
}

/**
 * Works out what `key` names in a table, by segments: `MDS.1` is not `MDS.10`. A key that ends in a dot, and the empty key, name
 * what lies below them.
 */
export function resolve(replica: Replica, table: number, key: string): Resolved {
  const open = key === "" || key.endsWith(".");
  if (!open) {
    const exact = replica.entry(table, key);
    const server = exact === undefined ? undefined : serverOf(replica, exact);
    if (server !== undefined) return { named: { shape: "server", server }, foreign: false };
    const members = exact === undefined ? undefined : membersOf(exact.value);
    if (exact !== undefined && members !== undefined) {
      const instance = instanceOf(replica, table, exact, members);
      return { named: { shape: "instance", instance }, foreign: members.some((member) => !isBelow(member, key)) };
    }
  }
  const prefix = open ? key : `${key}.`;
  const instances: Instance[] = [];
  const keys = new Set<string>();
  const members = new Set<string>();
  for (const row of replica.rowsBelow(table, prefix)) {
    const entry = replica.entry(table, row.key);
    if (entry === undefined || hasAncestor(keys, entry.key, prefix.length)) continue;
    const listed = membersOf(entry.value);
    const server = listed === undefined ? serverOf(replica, entry) : undefined;
    if (listed === undefined && server === undefined) continue;
    keys.add(entry.key);
    for (const member of listed ?? []) members.add(member);
    instances.push(
      server === undefined ? instanceOf(replica, table, entry, listed ?? []) : { key: entry.key, valid: true, servers: [server] },
    );
  }
  const own = instances.filter((instance) => !members.has(instance.key));
  const foreign = open || [...members].some((member) => !member.startsWith(prefix));
  return { named: own.length === 0 ? { shape: "nothing" } : { shape: "service", instances: own }, foreign };
}

function instanceOf(replica: Replica, table: number, entry: Entry, members: readonly string[]): Instance {
  const { key, valid } = entry;
  const group = replica.entryCount(tableNumbers.groups) === 0 ? undefined : groupOf(replica, entry.table, key);
  if (group === undefined) return { key, valid, servers: serversOf(replica, table, members) };
  const { synchronising } = group;
  const others = group.members.map(({ server }) => server).filter((server) => server !== synchronising);
  const servers = serversOf(replica, table, [synchronising, ...others]);
  const [first] = servers;
  const hasPrimary = first?.instance === synchronising && first.valid;
  return { key, valid: valid && hasPrimary, servers, group };
}

function serversOf(replica: Replica, table: number, keys: readonly string[]): readonly Server[] {
  const servers: Server[] = [];
  for (const key of keys) {
    const row = replica.entry(table, key);
    const server = row === undefined ? undefined : serverOf(replica, row);
    if (server !== undefined) servers.push(server);
  }
  return servers;
}

function serverOf(replica: Replica, { table, key, value, valid, revision }: Entry): Server | undefined {
  if (!isRouteValue(value)) return undefined;
  const avoided = valid && isEntryAvoided(replica, table, key);
  return { instance: key, host: value.host, port: value.port, data: value.data, value, valid, avoided, revision };
}

/** True when one of `keys` is a proper ancestor of `key`, longer than `from`. In key order ancestors come first. */
function hasAncestor(keys: ReadonlySet<string>, key: string, from: number): boolean {
  for (let dot = key.indexOf(".", from); dot > 0; dot = key.indexOf(".", dot + 1)) if (keys.has(key.slice(0, dot))) return true;
  return false;
}
