import { type JsonValue, formatRevision, isRecord } from "../kernel/index.ts";
import {
  type StateName,
  groupOf,
  groupsTable,
  isBelow,
  isRouteValue,
  membersOf,
  parseHostRouteKey,
  parseTableDefinition,
  partitionTarget,
  primaryOf,
} from "../tables/index.ts";
import { entryState, renderState, sayState } from "./entry-state.ts";
import type { Entry } from "./fleet.ts";
import { hostState } from "./hosts.ts";
import type { QueryView } from "./queries.ts";
import { knownGroups, placeInGroup, remedyOfGroup, sayGroup } from "./query-groups.ts";
import { renderEntry, renderRoute } from "./render.ts";

/** What one table says about a key, with the reasons in words. */
interface Finding {
  readonly table: string;
  readonly shape: "server" | "service instance" | "service" | "partition" | "host" | "host route" | "table" | "group" | "entry";
  /** Whether a lookup of the key leads somewhere. */
  readonly usable: boolean;
  readonly entry: JsonValue;
  /** The reasons, one sentence each, the most important first. */
  readonly because: readonly string[];
  /** What to do; absent when nothing needs doing. */
  readonly next?: string;
  readonly [detail: string]: JsonValue | undefined;
}

const similarMax = 8;

/**
 * Explains the state of a key in every table, or in one: is it valid, and if not, is it the entry itself or its host; who holds
 * it; who is primary; over which route it is reached and why over that one; what to do next.
 */
export function explain(view: QueryView, key: string, only: string | undefined): JsonValue {
  const tables = only === undefined ? view.tables().map(({ name }) => name) : [only];
  const findings = tables.map((table) => explainIn(view, table, key)).filter((finding) => finding !== undefined);
  const about = { key, position: formatRevision(view.position), detached: view.detached };
  if (findings.length > 0) return { ...about, found: true, findings: findings.map(defined) };
  return { ...about, found: false, findings: [], similar: similar(view, tables, key) };
}

function explainIn(view: QueryView, table: string, key: string): Finding | undefined {
  const entry = view.get(table, key);
  if (entry === undefined) return explainService(view, table, key);
  const { value } = entry;
  if (isRouteValue(value)) return explainServer(view, entry, value.host, value.port);
  const members = membersOf(value);
  if (members !== undefined) return explainInstance(view, entry, members);
  switch (entry.table) {
    case "tables":
      return explainTable(view, entry);
    case "hosts":
      return explainHost(view, entry);
    case "host-route":
      return explainRoute(view, entry);
    case groupsTable:
      return explainGroup(view, entry);
    default:
      break;
  }
  const servers = serversOfPartition(view, entry.table);
  if (servers !== undefined) return explainPartition(view, entry, servers);
  return {
    table: entry.table,
    shape: "entry",
    usable: entry.valid,
    entry: renderEntry(entry),
    because: [entry.valid ? "it is valid" : invalidItself(entry), heldBy(entry)],
  };
}

function explainServer(view: QueryView, entry: Entry, host: string, port: number): Finding {
  const { table, key } = entry;
  const state = hostState(view, host);
  const current = state?.routes.find((route) => route.current);
  const because: string[] = [];
  let next: string | undefined;
  const known = entryState(view, table, key);
  const knownHost = entryState(view, "hosts", host);
  if (state !== undefined && !state.valid) {
    because.push(
      `its host ${host} is gone since ${formatRevision(state.entry?.revision ?? entry.revision)}, so everything on ${host} is invalid`,
    );
    next = `start the agent of ${host} again; its servers come back by themselves`;
  } else if (!entry.valid) {
    because.push(known === undefined ? invalidItself(entry) : `the entry is invalid since ${formatRevision(entry.revision)}`);
    const reason = checkReason(view, table, key);
    if (reason !== undefined) because.push(reason);
    next =
      entry.owner === null
        ? `set it valid by writing it again, or take it away: muster delete ${table} ${key}`
        : (remedies[known?.state ?? "dead"] ?? "start its program again");
  } else {
    because.push("it is valid, and so is its host");
    next = known === undefined ? undefined : remedies[known.state];
  }
  if (known !== undefined) because.push(sayState(known));
  if (knownHost !== undefined) because.push(`of its host ${host}: ${sayState(knownHost)}`);
  if (state === undefined) {
    because.push(`the host ${host} has neither an agent nor a route`);
    next ??= `start an agent with --host ${host}, or add a route: muster add host-route ${host}.0 ADDRESS`;
  } else if (state.valid && current === undefined) {
    because.push(`none of the ${state.routes.length} routes of ${host} is valid`);
    next ??= `see \`muster hosts\`, then mend or add a route: muster add host-route ${host}.0 ADDRESS`;
  } else if (current !== undefined) {
    const worse = state.routes.filter((route) => route.number < current.number).map((route) => route.route);
    const why =
      worse.length === 0
        ? "the lowest-numbered one"
        : `the lowest-numbered valid one, because ${worse.join(" and ")} ${worse.length === 1 ? "is" : "are"} invalid`;
    because.push(`it is reached at ${current.address}:${port} over ${current.route}, ${why}`);
  }
  because.push(heldBy(entry), ...placeInInstance(view, table, key));
  const routes = state?.routes.map((route) => ({ ...route })) ?? [];
  const usable = entry.valid && current !== undefined;
  const states = { state: renderState(known), hostState: renderState(knownHost) };
  return {
    table,
    shape: "server",
    usable,
    entry: renderEntry(entry),
    because,
    host,
    routes,
    ...states,
    ...(next === undefined ? {} : { next }),
  };
}

/** What to do about a server in a state that does not mend itself. */
const remedies: Readonly<Partial<Record<StateName, string>>> = {
  stalled: "look at what its program does: a profile, or a stack trace by the inspector",
  apart: "do what the reason names; see `muster groups`",
  hung: "look at its process: continue it, or end it and start it again",
  dead: "start its program again",
  stopped: "start its program again",
};

function placeInInstance(view: QueryView, table: string, key: string): readonly string[] {
  const place = placeInGroup(view, table, key);
  if (place !== undefined) return [place];
  const above = key.slice(0, Math.max(0, key.lastIndexOf(".")));
  const row = above === "" ? undefined : view.get(table, above);
  const members = row === undefined ? undefined : membersOf(row.value);
  if (members === undefined || !members.includes(key)) return [];
  const primary = primaryOf(view, table, above);
  if (primary === key) return [`it is the primary of ${above}`];
  if (primary === undefined) return [`${above} has no primary: none of its ${members.length} members is valid`];
  return [`it is a backup of ${above}; the primary is ${primary}`];
}

function explainInstance(view: QueryView, entry: Entry, members: readonly string[]): Finding {
  const { table, key } = entry;
  const primary = primaryOf(view, table, key);
  const states = members.map((member) => ({
    member,
    valid: view.get(table, member)?.valid ?? false,
    state: entryState(view, table, member)?.state ?? null,
  }));
  const route = view.find(table, key);
  const group = groupOf(view, table, key);
  const because: string[] = [];
  if (!entry.valid) because.push(invalidItself(entry));
  if (group !== undefined) because.push(...sayGroup(view, table, key));
  else if (primary === undefined) because.push(`it has no primary: none of its ${members.length} members is valid`);
  if (primary !== undefined) {
    const passed = members.slice(0, members.indexOf(primary));
    const why =
      group !== undefined
        ? "it synchronises the group"
        : passed.length === 0
          ? "the first of its members"
          : `the first valid one of its members (${passed.join(", ")} ${passed.length === 1 ? "is" : "are"} not valid)`;
    because.push(`${primary} is its primary: ${why}`);
    const state = entryState(view, table, primary);
    if (state !== undefined) because.push(`${primary}: ${sayState(state)}`);
    if (route === undefined) because.push(`${primary} is valid, but no route leads to it`);
    else because.push(`it is reached at ${route.address}:${route.port} on ${route.host}`);
  }
  const blocked = primary === undefined || route === undefined;
  const look = primary ?? members[0];
  const waits = group !== undefined && primary === undefined;
  const next = waits
    ? { next: remedyOfGroup({ instance: key, group }) }
    : blocked && look !== undefined
      ? { next: `muster why ${look}` }
      : {};
  const held = group === undefined ? null : { epoch: group.epoch, synchronising: group.synchronising };
  const detail = { primary: primary ?? null, group: held, members: states, route: route === undefined ? null : renderRoute(route) };
  return { table, shape: "service instance", usable: route !== undefined, entry: renderEntry(entry), because, ...detail, ...next };
}

function explainGroup(view: QueryView, entry: Entry): Finding {
  const [known] = knownGroups(view, entry.key);
  const base = { table: entry.table, shape: "group", entry: renderEntry(entry) } as const;
  if (known === undefined) return { ...base, usable: false, because: ["its row cannot be read", heldBy(entry)] };
  const { table, instance, primary } = known;
  const next = primary === undefined ? { next: remedyOfGroup(known) } : {};
  return { ...base, usable: primary !== undefined, because: [...sayGroup(view, table, instance), heldBy(entry)], ...next };
}

/** A key without a row of its own may still name a service: what lies below it, by segments. */
function explainService(view: QueryView, table: string, key: string): Finding | undefined {
  const below = view.search(table, `${key}.`).filter((entry) => isBelow(entry.key, key));
  const instances = below.filter(({ value }) => isRouteValue(value) || membersOf(value) !== undefined);
  if (instances.length === 0) return explainEmptied(view, table, key);
  const usable = view.findAll(table, key);
  const valid = instances.filter((entry) => entry.valid).length;
  const because = [
    `it has no row of its own; as a service it has ${instances.length} rows below it, ${valid} of them valid`,
    usable.length === 0 ? "none of them can be reached" : `a lookup chooses among ${usable.map((route) => route.instance).join(", ")}`,
  ];
  const first = instances[0]?.key;
  const next = usable.length === 0 && first !== undefined ? { next: `muster why ${first}` } : {};
  return {
    table,
    shape: "service",
    usable: usable.length > 0,
    entry: null,
    because,
    instances: instances.map((entry) => entry.key),
    ...next,
  };
}

/** A service instance of which nothing is left but the row that says who holds its state. */
function explainEmptied(view: QueryView, table: string, key: string): Finding | undefined {
  const group = groupOf(view, table, key);
  if (group === undefined) return undefined;
  const next = remedyOfGroup({ instance: key, group });
  return { table, shape: "service instance", usable: false, entry: null, because: sayGroup(view, table, key), next };
}

function explainPartition(view: QueryView, entry: Entry, servers: string): Finding {
  const { table, key } = entry;
  const target = partitionTarget(entry.value)?.key;
  const route = view.findPartition(table, key);
  const because: string[] = [];
  let next: string | undefined;
  if (!entry.valid) because.push(invalidItself(entry));
  if (target === undefined) {
    because.push("its value names no server");
    next = `muster add ${table} ${key} KEY-OF-${servers.toUpperCase()}`;
  } else if (route === undefined) {
    because.push(`it belongs to ${target}, which no lookup in ${servers} can reach`);
    next = `muster why ${target}`;
  } else because.push(`it belongs to ${target}, reached as ${route.instance} at ${route.address}:${route.port}`);
  const detail = { servers, target: target ?? null, route: route === undefined ? null : renderRoute(route) };
  return {
    table,
    shape: "partition",
    usable: route !== undefined,
    entry: renderEntry(entry),
    because,
    ...detail,
    ...(next === undefined ? {} : { next }),
  };
}

/** The table that a partition table's values are keys of; undefined for other tables. */
export function serversOfPartition(view: QueryView, table: string): string | undefined {
  const row = view.get("tables", table);
  if (row === undefined) return undefined;
  const { kind, name, servers = name.replace(/-partition$/, "") } = parseTableDefinition(table, row.value);
  return kind === "partition" ? servers : undefined;
}

function explainTable(view: QueryView, entry: Entry): Finding {
  const summary = view.tables().find(({ name }) => name === entry.key);
  const because = [`it is a table with ${summary?.entries ?? 0} entries`];
  if (summary?.symbol !== undefined) because.push(`its symbolic name is ${summary.symbol}`);
  if (summary?.mapping !== undefined) because.push(`a key that it does not hold is mapped by ${summary.mapping}`);
  return { table: entry.table, shape: "table", usable: entry.valid, entry: renderEntry(entry), because };
}

function explainHost(view: QueryView, entry: Entry): Finding {
  const routes = hostState(view, entry.key)?.routes ?? [];
  const current = routes.find((route) => route.current);
  const because = [entry.valid ? "the host is there" : `the host is gone since ${formatRevision(entry.revision)}`];
  const known = entryState(view, "hosts", entry.key);
  if (known !== undefined) because.push(sayState(known));
  if (routes.length === 0) because.push("it has no routes");
  else if (entry.valid)
    because.push(current === undefined ? "none of its routes is valid" : `${current.route} (${current.address}) is its current route`);
  const next = entry.valid
    ? current === undefined
      ? `muster add host-route ${entry.key}.0 ADDRESS`
      : undefined
    : `start the agent of ${entry.key} again`;
  const usable = entry.valid && current !== undefined;
  const shown = routes.map((route) => ({ ...route }));
  return {
    table: entry.table,
    shape: "host",
    usable,
    entry: renderEntry(entry),
    because,
    routes: shown,
    state: renderState(known),
    ...(next === undefined ? {} : { next }),
  };
}

function explainRoute(view: QueryView, entry: Entry): Finding {
  const host = parseHostRouteKey(entry.key)?.host;
  const state = host === undefined ? undefined : hostState(view, host);
  const own = state?.routes.find((route) => route.route === entry.key);
  const current = state?.routes.find((route) => route.current);
  const because: string[] = [entry.valid ? "the route is valid" : invalidItself(entry)];
  const known = entryState(view, "host-route", entry.key);
  if (known !== undefined) because.push(sayState(known));
  if (state !== undefined && !state.valid) because.push(`its host ${state.host} is gone`);
  else if (own?.current === true) because.push(`it is the current route of ${state?.host}: the lowest-numbered valid one`);
  else if (current !== undefined) because.push(`the current route of ${state?.host} is ${current.route}`);
  return { table: entry.table, shape: "host route", usable: entry.valid && state?.valid !== false, entry: renderEntry(entry), because };
}

function invalidItself(entry: Entry): string {
  const since = formatRevision(entry.revision);
  return entry.owner === null
    ? `the entry itself is invalid since ${since}`
    : `the entry is invalid since ${since}: its program ended, missed its heartbeat, or failed its check`;
}

function heldBy({ owner, revision, valid }: Entry): string {
  const written = `written at revision ${formatRevision(revision)}`;
  if (owner === null) return `it is a standing entry, ${written}`;
  const watcher = owner.slice(0, owner.lastIndexOf("/"));
  if (!valid)
    return `it was bound to a program that ${watcher} watches (owner ${owner}), ${written}; it stays until that program is back, or somebody deletes it`;
  return `it is bound to a live program, watched by ${watcher} (owner ${owner}), ${written}`;
}

/** What the check of an entry last found, when one is configured. */
function checkReason(view: QueryView, table: string, key: string): string | undefined {
  const check = view.get("checks", `${table}/${key}`)?.value;
  if (check === undefined || !isRecord(check)) return undefined;
  const what = typeof check.check === "string" ? check.check : "its check";
  return typeof check.reason === "string"
    ? `its check ${what} failed: ${check.reason}`
    : `its validity follows the check ${what} on ${String(check.host)}`;
}

/** Keys that the asker may have meant: same letters in another case, or the same beginning. */
function similar(view: QueryView, tables: readonly string[], key: string): JsonValue {
  const found: string[] = [];
  const wanted = key.toLowerCase();
  const stem = wanted.slice(0, Math.max(1, wanted.lastIndexOf(".")));
  for (const table of tables)
    for (const entry of view.search(table)) {
      if (!entry.key.toLowerCase().startsWith(stem)) continue;
      found.push(`${table}/${entry.key}`);
      if (found.length >= similarMax) return found;
    }
  return found;
}

function defined({ next, ...finding }: Finding): JsonValue {
  const fields = Object.fromEntries(Object.entries(finding).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
  return next === undefined ? fields : { ...fields, next };
}
