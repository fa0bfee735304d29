import type { CompleteRoute, Finder } from "../find/index.ts";
import type { RequestOptions } from "../requests/index.ts";
import { type Replica, groupKey, instanceOfServer, tableNumbers, targetOfGroupKey } from "../tables/index.ts";

/** The ordering group that a request goes to. */
export interface GroupTarget {
  /** Key of the group's row. */
  readonly group: string;
  readonly table: string;
  readonly instance: string;
  /** The key names one server of it, and a read is meant for that one. */
  readonly server: string | undefined;
}

/**
 * Which keys lead to a service instance that keeps its state in an ordering group. Programs without groups in their fleet pay one look at
 * the number of rows.
 */
export class GroupKeys {
  readonly #replica: Replica;
  readonly #finder: Finder;
  readonly #unobserve: () => void;
  /** The tables of each instance that has a group; made anew when a group comes or goes. */
  #tables: Map<string, string[]> | undefined;
  /** All beginnings of these instances: keys of services. */
  readonly #services = new Set<string>();

  constructor(replica: Replica, finder: Finder) {
    this.#replica = replica;
    this.#finder = finder;
    this.#unobserve = replica.observe({
      touched: (table, key) => {
        if (table === tableNumbers.groups && !this.#isKnown(key)) this.#tables = undefined;
      },
      host: () => {},
      reset: () => {
        this.#tables = undefined;
      },
    });
  }

  close(): void {
    this.#unobserve();
  }

  /** Undefined: the key leads to no group, to several, or nowhere. Throws what find throws. */
  of(key: string, options: RequestOptions | undefined): GroupTarget | undefined {
    if (this.#replica.entryCount(tableNumbers.groups) === 0) return undefined;
    const tables = (this.#tables ??= this.#read());
    const named = options?.table === undefined ? undefined : this.#replica.table(options.table);
    if (options?.table !== undefined && named === undefined) return undefined;
    if (named?.kind === "partition") {
      const route = this.#finder.findPartition(named.name, key, findOptionsOf(options));
      return this.#ofRoute(named.servers ?? named.name.replace(/-partition$/, ""), route);
    }
    const direct = this.#inTable(tables.get(key), key, undefined, named?.name);
    if (direct !== undefined) return direct;
    const above = instanceOfServer(key);
    const server = above === undefined ? undefined : this.#inTable(tables.get(above), above, key, named?.name);
    if (server !== undefined) return server;
    if (!this.#services.has(key)) return undefined;
    const table = named?.name ?? this.#tableOfService(key);
    return table === undefined ? undefined : this.#ofRoute(table, this.#finder.find(table, key, findOptionsOf(options)));
  }

  #inTable(
    tables: readonly string[] | undefined,
    instance: string,
    server: string | undefined,
    wanted: string | undefined,
  ): GroupTarget | undefined {
    const table = wanted === undefined && tables?.length === 1 ? tables[0] : tables?.find((one) => one === wanted);
    const group = table === undefined ? undefined : groupKey(table, instance);
    if (table === undefined || group === undefined) return undefined;
    if (server !== undefined && this.#replica.entry(this.#replica.table(table)?.number ?? 0, server) === undefined) return undefined;
    return { group, table, instance, server };
  }

  #ofRoute(table: string, route: CompleteRoute | undefined): GroupTarget | undefined {
    const instance = route === undefined ? undefined : instanceOfServer(route.instance);
    if (instance === undefined) return undefined;
    const name = this.#replica.table(table)?.name ?? table;
    return this.#inTable(this.#tables?.get(instance), instance, undefined, name);
  }

  /** The one table with groups of this service. */
  #tableOfService(service: string): string | undefined {
    const found = new Set<string>();
    for (const [instance, tables] of this.#tables ?? [])
      if (instance.startsWith(`${service}.`)) for (const table of tables) found.add(table);
    const [table] = found;
    return found.size === 1 ? table : undefined;
  }

  #isKnown(key: string): boolean {
    const target = targetOfGroupKey(key);
    const isThere = this.#replica.row(tableNumbers.groups, key) !== undefined;
    return isThere && target !== undefined && this.#tables?.get(target.instance)?.includes(target.table) === true;
  }

  #read(): Map<string, string[]> {
    const tables = new Map<string, string[]>();
    this.#services.clear();
    for (const { key } of this.#replica.entries(tableNumbers.groups)) {
      const target = targetOfGroupKey(key);
      if (target === undefined) continue;
      const { table, instance } = target;
      const known = tables.get(instance);
      if (known === undefined) tables.set(instance, [table]);
      else known.push(table);
      for (let dot = instance.indexOf("."); dot > 0; dot = instance.indexOf(".", dot + 1)) this.#services.add(instance.slice(0, dot));
    }
    return tables;
  }
}

function findOptionsOf(options: RequestOptions | undefined) {
  const { where, policy, seed } = options ?? {};
  if (where === undefined && policy === undefined && seed === undefined) return undefined;
  return {
    ...(where === undefined ? {} : { where }),
    ...(policy === undefined ? {} : { policy }),
    ...(seed === undefined ? {} : { seed }),
  };
}
