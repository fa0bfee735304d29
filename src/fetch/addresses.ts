import { type Clock, MusterError } from "../kernel/index.ts";
import type { FetchFleet } from "./fetch-fleet.ts";

/** Whom a request is for, and what it asks there. */
export interface Target {
  /** The table's plain name. */
  readonly table: string;
  readonly key: string;
  /** Path and query, beginning with "/". */
  readonly path: string;
}

export const scheme = "muster:";

/** Keys without a table are looked for again after this. */
const knownMs = 1000;
const knownMax = 1000;

const forms = "write muster://TABLE/KEY/path, or muster://KEY/path when only one table has the key";

/**
 * Reads `muster://TABLE/KEY/path?query` and `muster://KEY/path?query`. The first word is a table when a table has that name or
 * symbol, else a key, which then must be in exactly one table of servers. Words may be percent-encoded; case counts.
 */
export class Addresses {
  readonly #fleet: FetchFleet;
  readonly #clock: Clock;
  readonly #tableOfKey = new Map<string, { readonly table: string; readonly untilMonoMs: number }>();

  constructor(fleet: FetchFleet, clock: Clock) {
    this.#fleet = fleet;
    this.#clock = clock;
  }

  /** Throws `fetch/bad-url`, `fetch/unknown-key` and `fetch/ambiguous-key`. */
  parse(url: URL): Target {
    if (url.username !== "" || url.password !== "" || url.port !== "")
      throw badUrl(url, "it has a port or a user, which the roll and the server decide");
    const first = decode(url, url.hostname);
    if (first === "") throw badUrl(url, "it names neither a table nor a key");
    const table = this.#fleet.tables().find(({ name, symbol }) => name === first || symbol === first)?.name;
    if (table === undefined) return { table: this.#tableOf(first), key: first, path: `${url.pathname || "/"}${url.search}` };
    const [, key = "", rest = "/"] = /^\/([^/]*)(\/.*)?$/.exec(url.pathname) ?? [];
    if (key === "") throw badUrl(url, `"${first}" is a table, and no key follows it`);
    return { table, key: decode(url, key), path: `${rest}${url.search}` };
  }

  #tableOf(key: string): string {
    const nowMonoMs = this.#clock.monoMs();
    const known = this.#tableOfKey.get(key);
    if (known !== undefined && known.untilMonoMs > nowMonoMs) return known.table;
    const tables = this.#fleet.tables().filter(({ name, mapping }) => mapping === undefined && !own.has(name) && this.#holds(name, key));
    const [table] = tables;
    if (table === undefined)
      throw new MusterError("fetch/unknown-key", `no table of servers has the key "${key}"`, {
        next: `see \`muster why ${key}\`; ${forms}`,
      });
    if (tables.length > 1)
      throw new MusterError("fetch/ambiguous-key", `"${key}" is in ${tables.map(({ name }) => name).join(" and ")}`, {
        next: `name the table: muster://${table.name}/${key}/path`,
      });
    if (this.#tableOfKey.size >= knownMax) this.#tableOfKey.clear();
    this.#tableOfKey.set(key, { table: table.name, untilMonoMs: nowMonoMs + knownMs });
    return table.name;
  }

  #holds(table: string, key: string): boolean {
    return this.#fleet.get(table, key) !== undefined || this.#fleet.search(table, `${key}.`).length > 0;
  }
}

/** Tables about the fleet itself; no server is called by their keys. */
const own: ReadonlySet<string> = new Set([
  "tables",
  "hosts",
  "host-route",
  "checks",
  "states",
  "request-types",
  "groups",
  "leases",
  "partitions",
]);

function decode(url: URL, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badUrl(url, `"${text}" is not percent-encoded as it should be`);
  }
}

function badUrl(url: URL, why: string): MusterError {
  return new MusterError("fetch/bad-url", `${url.href} cannot be used: ${why}`, { next: forms });
}
