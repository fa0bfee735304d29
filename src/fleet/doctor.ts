import { type JsonValue, formatDurationMs, isRecord } from "../kernel/index.ts";
import { requestTypesTable } from "../requests/index.ts";
import { groupOf, groupsTable, isRouteValue, membersOf, partitionTarget, primaryOf } from "../tables/index.ts";
import { typesWithoutServer } from "./doctor-types.ts";
import { hostStates } from "./hosts.ts";
import type { QueryView } from "./queries.ts";
import { knownGroups, remedyOfGroup } from "./query-groups.ts";
import { serversOfPartition } from "./why.ts";

/** Something that a person should know: an error keeps callers from a service, a warning may soon. */
interface Diagnosis {
  readonly severity: "error" | "warning";
  /** Stable word: "service-without-primary". */
  readonly code: string;
  /** What it is about: a table and key, a host, or this node. */
  readonly about: string;
  readonly message: string;
  readonly next: string;
}

const staleMs = 10_000;
/** A sick fleet has one cause and a thousand symptoms. */
const perCodeMax = 50;

/** Looks at everything that this node holds and lists what is wrong: `{ healthy, findings }`, errors first. */
export function diagnose(view: QueryView): JsonValue {
  const findings = limited([...node(view), ...hosts(view), ...tables(view)]);
  findings.sort((a, b) => (a.severity === b.severity ? 0 : a.severity === "error" ? -1 : 1));
  return { healthy: findings.every(({ severity }) => severity !== "error"), findings: findings.map((finding) => ({ ...finding })) };
}

function* node(view: QueryView): Generator<Diagnosis> {
  if (view.detached)
    yield {
      severity: "error",
      code: "detached",
      about: "this node",
      message: "no newer tick of the directory arrives here: lookups answer from what was last known",
      next: "check that the directory runs and that its address can be reached: muster status",
    };
  else if (view.ageMs > staleMs)
    yield {
      severity: "warning",
      code: "stale",
      about: "this node",
      message: `the position of this node is ${formatDurationMs(view.ageMs)} old`,
      next: "check the load of this machine and of the directory's",
    };
  const status = view.status();
  if (!isRecord(status)) return;
  if (status.plaintext === true)
    yield {
      severity: "warning",
      code: "plaintext",
      about: "this node",
      message: "links beyond loopback run without TLS",
      next: "keep such a fleet in a network that you trust",
    };
  const suspects = Array.isArray(status.suspectHosts) ? status.suspectHosts : [];
  if (suspects.length > 0)
    yield {
      severity: "warning",
      code: "guard-holds",
      about: "the fleet",
      message: `${suspects.length} hosts fell silent together (${suspects.slice(0, 5).map(String).join(", ")}): the mass-failure guard holds back their expiry`,
      next: `look at what they have in common (a switch, a network); muster why ${String(suspects[0])} says until when`,
    };
  if (isRecord(status.guard) && status.guard.isolated === true)
    yield {
      severity: "error",
      code: "directory-isolated",
      about: "the directory",
      message: "the directory hears no agent and no relay: it is cut off itself, and gives nobody up",
      next: "check the network of the directory's machine; lookups go on elsewhere",
    };
  if (typeof status.store === "string" && status.store !== "ok")
    yield {
      severity: "error",
      code: "store-trouble",
      about: "the directory",
      message: `the directory's store refuses changes: ${status.store}`,
      next: "free space or mend the disk below --data; lookups go on meanwhile",
    };
}

function* hosts(view: QueryView): Generator<Diagnosis> {
  for (const { host, valid, routes } of hostStates(view)) {
    if (!valid)
      yield {
        severity: "warning",
        code: "host-gone",
        about: host,
        message: `the host ${host} is gone; everything on it is invalid`,
        next: `start the agent of ${host} again, or take the host off, once no entry names it: muster delete hosts ${host}`,
      };
    else if (routes.length === 0)
      yield {
        severity: "warning",
        code: "host-without-routes",
        about: host,
        message: `the host ${host} has no network route, so nothing on it can be reached`,
        next: `start its agent with --route ADDRESS, or muster add host-route ${host}.0 ADDRESS`,
      };
    else if (!routes.some((route) => route.current))
      yield {
        severity: "error",
        code: "host-cut-off",
        about: host,
        message: `none of the ${routes.length} routes of ${host} is valid`,
        next: `see \`muster hosts\` and mend one of them`,
      };
  }
}

function* tables(view: QueryView): Generator<Diagnosis> {
  for (const { name, mapping } of view.tables()) {
    const servers = serversOfPartition(view, name);
    if (name === groupsTable) yield* groups(view);
    else if (name === requestTypesTable) yield* types(view);
    else if (servers !== undefined) yield* partitions(view, name, servers, mapping);
    else yield* serversOf(view, name);
  }
}

function* partitions(view: QueryView, table: string, servers: string, mapping: string | undefined): Generator<Diagnosis> {
  const rows = view.search(table);
  for (const { key, value, valid } of rows) {
    if (view.findPartition(table, key) !== undefined) continue;
    const target = partitionTarget(value)?.key;
    yield {
      severity: "error",
      code: "partition-to-nothing",
      about: `${table}/${key}`,
      message: valid
        ? `the partition ${key} maps to ${target ?? "nothing"}, which cannot be reached in ${servers}`
        : `the partition ${key} is invalid`,
      next: target === undefined ? `muster add ${table} ${key} KEY` : `muster why ${target}`,
    };
  }
  const modulus = Number(/^modulus:(\d+)$/.exec(mapping ?? "")?.[1] ?? 0);
  if (rows.length === 0) return;
  const missing = [...Array(Math.min(modulus, 1000)).keys()].map(String).filter((key) => view.get(table, key) === undefined);
  if (missing.length > 0)
    yield {
      severity: "error",
      code: "partition-missing",
      about: table,
      message: `${table} maps keys by ${mapping}, but has no row for ${missing.slice(0, 10).join(", ")}${missing.length > 10 ? ", …" : ""}`,
      next: `muster add ${table} ${missing[0]} KEY-OF-A-SERVER`,
    };
}

function* groups(view: QueryView): Generator<Diagnosis> {
  for (const known of knownGroups(view)) {
    const { table, instance, group, primary } = known;
    const { members, copiesMin, synchronising } = group;
    const about = `${table}/${instance}`;
    if (primary === undefined)
      yield {
        severity: "error",
        code: "group-without-primary",
        about,
        message: `${instance} has no primary: ${synchronising}, which alone is known to hold all of its state, is not valid`,
        next: remedyOfGroup(known),
      };
    else if (members.length < copiesMin)
      yield {
        severity: "error",
        code: "group-refuses-writes",
        about,
        message: `the group of ${instance} has ${members.length} of the ${copiesMin} members that it needs, so writes are refused`,
        next: `start more servers of ${instance}, and see \`muster groups ${instance}\``,
      };
    else if (members.length === 1)
      yield {
        severity: "warning",
        code: "group-without-copy",
        about,
        message: `only ${synchronising} holds the state of ${instance}`,
        next: `start another server of ${instance}; it joins by itself when it has caught up`,
      };
  }
}

function* types(view: QueryView): Generator<Diagnosis> {
  for (const { key, subset } of typesWithoutServer(view))
    yield {
      severity: "error",
      code: "type-without-server",
      about: `${requestTypesTable}/${key}`,
      message: `no living server is in the subset that answers ${key} (${subset}): its requests wait until their deadlines`,
      next: `start one of them, or say who answers: muster types set ${key} --subset default`,
    };
}

function* serversOf(view: QueryView, table: string): Generator<Diagnosis> {
  for (const { key, value, valid } of view.search(table)) {
    const members = membersOf(value);
    if (members !== undefined) {
      // Of a group its own row tells.
      if (groupOf(view, table, key) !== undefined) continue;
      if (primaryOf(view, table, key) === undefined)
        yield {
          severity: "error",
          code: "service-without-primary",
          about: `${table}/${key}`,
          message: `the service instance ${key} has no primary: none of its ${members.length} members is valid`,
          next: `start one of them: ${members.join(", ")}`,
        };
      else if (members.length > 1 && members.filter((member) => view.get(table, member)?.valid === true).length === 1)
        yield {
          severity: "warning",
          code: "service-without-backup",
          about: `${table}/${key}`,
          message: `only one of the ${members.length} members of ${key} is valid`,
          next: `muster why ${key}`,
        };
    } else if (isRouteValue(value) && !valid && !hasAlternate(view, table, key))
      yield {
        severity: "error",
        code: "server-without-alternate",
        about: `${table}/${key}`,
        message: `the server ${key} is invalid, and nothing else answers for its service`,
        next: `muster why ${key}`,
      };
  }
}

/** Whether the service that a key belongs to still leads somewhere. */
function hasAlternate(view: QueryView, table: string, key: string): boolean {
  for (let dot = key.lastIndexOf("."); dot > 0; dot = key.lastIndexOf(".", dot - 1))
    if (view.find(table, key.slice(0, dot)) !== undefined) return true;
  return false;
}

function limited(findings: readonly Diagnosis[]): Diagnosis[] {
  const counts = new Map<string, number>();
  const kept = findings.filter(({ code }) => {
    const count = (counts.get(code) ?? 0) + 1;
    counts.set(code, count);
    return count <= perCodeMax;
  });
  for (const [code, count] of counts)
    if (count > perCodeMax)
      kept.push({
        severity: "warning",
        code: "and-more",
        about: code,
        message: `there are ${count - perCodeMax} more findings of the kind ${code}`,
        next: "mend the first ones and look again",
      });
  return kept;
}
