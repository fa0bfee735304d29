import { type Clock, type JsonValue, MusterError, type Revision, compareRevision, isRecord, limits } from "../kernel/index.ts";
import { isRouteValue, membersOf, stateKey, statesTable } from "../tables/index.ts";
import type { DrainOptions, DrainResult, Fleet, Operation } from "./fleet.ts";

/** What draining needs of a fleet; a handle without a replica does too. */
export type DrainFleet = Pick<Fleet, "change" | "host" | "query" | "settled">;

const deadlineMsDefault = 5000;

/**
 * Takes what `target` names out of use, or back into use: writes the state `draining` of a server, of the members of a service
 * instance or of a host, and waits until every attached node has applied it. Throws what `Fleet.drain` says.
 */
export async function drain(fleet: DrainFleet, clock: Clock, target: string, options: DrainOptions): Promise<DrainResult> {
  const { off = false, deadlineMs = deadlineMsDefault } = options;
  const entries = await entriesOf(fleet, target, options.table);
  const rows = off ? await drainingOf(fleet, entries) : entries;
  if (rows.length === 0) return { entries: [], revision: undefined, detached: 0 };
  const state = drainingState(options.reason ?? "taken out of use by an operator", fleet.host ?? "an operator", clock);
  const operations = rows.map((key): Operation => {
    const row = { table: statesTable, key };
    return off ? { op: "delete", ...row } : { op: "add", ...row, value: state };
  });
  const revision = await changeAll(fleet, operations, options.signal);
  const limit = new AbortController();
  const timer = clock.schedule(deadlineMs, () => limit.abort());
  const give = () => limit.abort();
  options.signal?.addEventListener("abort", give, { once: true });
  try {
    const { detached } = await fleet.settled(revision, { signal: limit.signal });
    return { entries: rows, revision, detached };
  } catch (thrown) {
    throw new MusterError("fleet/not-settled", `${target} is marked, but not every node has confirmed it within ${deadlineMs} ms`, {
      effect: "done",
      next: "see `muster doctor` for nodes that left a moment ago, then drain it again: that only waits",
      cause: thrown,
    });
  } finally {
    timer.cancel();
    options.signal?.removeEventListener("abort", give);
  }
}

/** The value of a row that says: no new work. */
export function drainingState(reason: string, by: string, clock: Clock): JsonValue {
  return { state: "draining", reason: reason.slice(0, 500), by, sinceUnixMs: clock.unixMs() };
}

/** In as few changes as the limit allows; the newest revision. */
export async function changeAll(fleet: Pick<Fleet, "change">, operations: readonly Operation[], signal?: AbortSignal): Promise<Revision> {
  const parts: (readonly Operation[])[] = [];
  for (let at = 0; at < operations.length; at += limits.changeOperationsMax)
    parts.push(operations.slice(at, at + limits.changeOperationsMax));
  const revisions = await Promise.all(parts.map((part) => fleet.change(part, signal === undefined ? {} : { signal })));
  const [newest] = revisions.toSorted((a, b) => compareRevision(b, a));
  if (newest === undefined) throw new MusterError("fleet/no-such-target", "there is nothing to change", { next: "see `muster tables`" });
  return newest;
}

/** The keys of the rows of `states` about everything that `target` names. */
async function entriesOf(fleet: DrainFleet, target: string, only: string | undefined): Promise<readonly string[]> {
  const all = await tableNames(fleet);
  const tables = all.filter(({ name, symbol }) => only === undefined || name === only || symbol === only).map(({ name }) => name);
  const found = await Promise.all(tables.map(async (table) => ({ table, entries: await entriesIn(fleet, table, target) })));
  const known = found.filter(({ entries }) => entries.length > 0);
  const [one] = known;
  if (one === undefined)
    throw new MusterError(
      "fleet/no-such-target",
      `${only === undefined ? "nothing" : `nothing in ${only}`} that can be drained is called ${target}`,
      {
        next: `name a server, a service instance or a host; see \`muster why ${target}\``,
      },
    );
  if (known.length > 1)
    throw new MusterError("fleet/ambiguous-target", `${target} is in ${known.map(({ table }) => table).join(" and ")}`, {
      next: `say which: --table ${one.table}`,
    });
  return one.entries;
}

async function entriesIn(fleet: DrainFleet, table: string, key: string): Promise<readonly string[]> {
  const entry = await fleet.query("get", { table, key });
  const value = isRecord(entry) ? entry["value"] : undefined;
  const members = value === undefined ? undefined : membersOf(value);
  // A host is one by its own row, or because it has a route.
  const isOne = table === "hosts" ? value !== undefined || (await hasRoute(fleet, key)) : value !== undefined && isRouteValue(value);
  const keys = members ?? (isOne ? [key] : []);
  return keys.flatMap((one) => stateKey(table, one) ?? []);
}

/** Tables that have nothing to be drained. */
const others: ReadonlySet<string> = new Set([
  "tables",
  "host-route",
  "checks",
  statesTable,
  "request-types",
  "groups",
  "leases",
  "partitions",
]);

async function tableNames(fleet: DrainFleet): Promise<readonly { readonly name: string; readonly symbol?: string }[]> {
  const tables = await fleet.query("tables", {});
  if (!Array.isArray(tables)) return [];
  return tables.flatMap((table: JsonValue) => {
    if (!isRecord(table) || typeof table["name"] !== "string" || typeof table["mapping"] === "string" || others.has(table["name"]))
      return [];
    return [{ name: table["name"], ...(typeof table["symbol"] === "string" ? { symbol: table["symbol"] } : {}) }];
  });
}

async function hasRoute(fleet: DrainFleet, host: string): Promise<boolean> {
  const hosts = await fleet.query("hosts", { host });
  return Array.isArray(hosts) && hosts.length > 0;
}

async function drainingOf(fleet: DrainFleet, keys: readonly string[]): Promise<readonly string[]> {
  const draining = await Promise.all(keys.map((key) => isDraining(fleet, key)));
  return keys.filter((_, index) => draining[index]);
}

/** Whether the row of `states` with this key says `draining`. */
export async function isDraining(fleet: Pick<Fleet, "query">, key: string): Promise<boolean> {
  const entry = await fleet.query("get", { table: statesTable, key });
  const value = isRecord(entry) ? entry["value"] : undefined;
  // Anybody may write to the table; what cannot be read says nothing.
  return isRecord(value) && value["state"] === "draining";
}
