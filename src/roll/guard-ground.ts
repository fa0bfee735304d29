import { type Replica, tableNumbers } from "../tables/index.ts";
import { hostOfText } from "../tables/index.ts";
import type { Absence, GuardGround } from "./guard.ts";

/** The service of a server: `MDS` of `MDS.1.1`; of a shorter key its first segment. */
export function serviceOf(key: string): string {
  const last = key.lastIndexOf(".");
  const before = last > 0 ? key.lastIndexOf(".", last - 1) : -1;
  if (before > 0) return key.slice(0, before);
  const first = key.indexOf(".");
  return first > 0 ? key.slice(0, first) : key;
}

/**
 * The absences that the guard looks at: those that are not decided, and those given up that began within two windows of one of them. A
 * host that went long before is part of no failure now, and no part of the fleet either: hosts that come and go for months, each for
 * itself, would else make any share small.
 */
export function recentOf(absences: readonly Absence[], windowMs: number): readonly Absence[] {
  const open = absences.filter(({ expired }) => !expired);
  const oldestMs = Math.min(...open.map(({ sinceMs }) => sinceMs)) - 2 * windowMs;
  return absences.filter(({ expired, sinceMs }) => !expired || sinceMs >= oldestMs);
}

/** The hosts of the fleet, and of each service that several of the absent hosts serve. */
export function groundOf(replica: Replica, absences: readonly Absence[]): GuardGround {
  const absent = new Set(absences.map(({ host }) => host));
  let hosts = absent.size;
  for (const row of replica.entries(tableNumbers.hosts)) if (row.flag && !absent.has(row.key)) hosts++;
  return { hosts, services: absent.size < 2 ? new Map() : servicesOf(replica, absent) };
}

function servicesOf(replica: Replica, absent: ReadonlySet<string>): ReadonlyMap<string, ReadonlySet<string>> {
  /** By table and service: which absent hosts have a server of it. */
  const touched = new Map<string, { readonly table: number; readonly service: string; readonly hosts: Set<string> }>();
  for (const host of absent)
    for (const { table, row } of replica.rowsOnHost(host)) {
      if (!row.flag) continue;
      const service = serviceOf(row.key);
      const name = `${table} ${service}`;
      const known = touched.get(name);
      if (known === undefined) touched.set(name, { table, service, hosts: new Set([host]) });
      else known.hosts.add(host);
    }
  const services = new Map<string, ReadonlySet<string>>();
  for (const { table, service, hosts } of touched.values()) {
    if (hosts.size < 2) continue;
    const all = new Set<string>();
    for (const row of replica.rowsBelow(table, service)) {
      const host = row.flag && serviceOf(row.key) === service ? hostOfText(row.text) : "";
      // Servers on hosts that were given up long ago are no part of the service.
      if (host !== "" && (absent.has(host) || replica.hostAlive(host))) all.add(host);
    }
    services.set(`${replica.tableByNumber(table)?.name ?? table}/${service}`, all);
  }
  return services;
}
